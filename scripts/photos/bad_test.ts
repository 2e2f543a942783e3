import assert from "node:assert/strict";
import { uploadByteLength, uploadContentType } from "../../domain/values.ts";
import { createIsolatedProcessor } from "../../infra/images/isolated.ts";
import { Unprocessable } from "../../infra/images/port.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { badFiles, type Outcome } from "./bad.ts";

Deno.test("badFiles: each comes to what the table says", async (t) => {
  const processor = createIsolatedProcessor({ processes: 1, logger: silentLogger });
  for (const { name, contentType, bytes, outcome } of badFiles) {
    await t.step(name, async () => {
      const made = await bytes();
      assert(made.length < 1_000_000, `${made.length} bytes are too many for a test`);
      const signs = uploadContentType.safeParse(contentType).success &&
        uploadByteLength.safeParse(made.length).success;
      const came: Outcome = signs
        ? await processor.process(made).then(
          ({ width, height }): Outcome => ({ status: "ready", width, height }),
          (error: unknown): Outcome => {
            if (!(error instanceof Unprocessable)) throw error;
            return { status: "rejected", reason: error.reason };
          },
        )
        : { status: "unsigned" };
      assert.deepEqual(came, outcome);
    });
  }
  await processor.close();
});
