import assert from "node:assert/strict";
import fc from "fast-check";
import type { DomainEvent } from "../../domain/events.ts";
import { idOf, now } from "../../domain/given_when_then.ts";
import type { MediaEvent } from "../../domain/media.ts";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import { ensureProjection } from "../runner/control.ts";
import { WrittenLog } from "../runner/harness.ts";
import { atVersions } from "../runner/live-schemas.ts";
import { createManifests } from "./manifests.ts";

const [owner, medium] = [idOf(1), idOf(2)];
const envelope = { id: idOf(9), time: now };
const about = { mediaId: medium, ownerId: owner };

const uploaded: MediaEvent = {
  ...envelope,
  type: "MediaUploaded",
  data: { ...about, objectKey: `originals/${owner}/${medium}`, contentType: "x", byteLength: 9 },
};
const rejected: MediaEvent = {
  ...envelope,
  type: "MediaRejected",
  data: { ...about, reason: "truncated", detail: "It ends too soon." },
};
const purged: MediaEvent = {
  ...envelope,
  type: "MediaPurged",
  data: { ...about, cause: "post-deleted" },
};
const ready = (recipe: number): MediaEvent => {
  const variant = (width: number, height: number) => ({
    objectKey: `variants/${medium}/r${recipe}-${width}.webp`,
    width,
    height,
    byteLength: width * 100,
    contentType: "image/webp",
  });
  return {
    ...envelope,
    type: "VariantsReady",
    data: {
      ...about,
      recipe,
      width: 4032,
      height: 3024,
      placeholder: "3OcR",
      // Not in the order in which they are shown.
      variants: {
        large: variant(1080, 810),
        thumbnail: variant(150, 150),
        medium: variant(600, 450),
      },
    },
  };
};

Deno.test("createManifests", async (t) => {
  const sql = await openInMemory();
  try {
    const projection = createManifests({ cdnBaseUrl: "https://cdn.example" });
    await ensureProjection(sql, new WrittenLog([], 1), projection);
    const queries = atVersions(sql, new Map([["manifests", 1]]));
    const record = (event: DomainEvent, offset: number) => ({
      topic: "media",
      partition: 0,
      offset,
      event,
    });
    /** Applies the events in batches of the given size to an empty table. */
    const apply = async (events: readonly DomainEvent[], size = 1) => {
      await queries.query("DELETE FROM manifests.media");
      for (let n = 0; n < events.length; n += size) {
        await projection.apply(events.slice(n, n + size).map(record), queries);
      }
      return await queries.query<{ status: string; manifest: string }>(
        "SELECT * FROM manifests.media",
      );
    };
    const manifestOf = async (...events: DomainEvent[]) => (await apply(events))[0]?.manifest;

    await t.step(
      "shows a medium in the byte order of the answers, under the CDN's host",
      async () => {
        assert.equal(await manifestOf(uploaded), `{"mediaId":"${medium}","status":"processing"}`);
        assert.equal(
          await manifestOf(uploaded, rejected),
          `{"mediaId":"${medium}","status":"rejected","reason":"truncated","detail":"It ends too soon."}`,
        );
        const variant = (width: number, height: number) =>
          `{"url":"https://cdn.example/variants/${medium}/r1-${width}.webp","width":${width},` +
          `"height":${height},"byteLength":${width * 100},"contentType":"image/webp"}`;
        assert.equal(
          await manifestOf(uploaded, ready(1)),
          `{"mediaId":"${medium}","status":"ready","placeholder":"3OcR","width":4032,"height":3024,` +
            `"variants":{"thumbnail":${variant(150, 150)},"medium":${variant(600, 450)},` +
            `"large":${variant(1080, 810)}}}`,
        );
      },
    );

    await t.step(
      "never goes back: not by an upload told again, not by an older recipe, not from purged",
      async () => {
        const status = async (...events: DomainEvent[]) => (await apply(events))[0]?.status;
        assert.equal(await status(uploaded, ready(1), uploaded), "ready");
        assert.equal(await status(uploaded, rejected, uploaded), "rejected");
        assert.equal(await status(uploaded, rejected, ready(1)), "ready");
        assert.equal(await status(uploaded, ready(1), purged, ready(2), uploaded), "purged");
        assert.match(await manifestOf(ready(1), ready(2), ready(1)) ?? "", /r2-150/);
      },
    );

    await t.step(
      "a batch leaves what its events leave one by one, and facts told again nothing more",
      async () => {
        const events = fc.constantFrom(uploaded, rejected, purged, ready(1), ready(2));
        await fc.assert(
          fc.asyncProperty(
            fc.array(events, { maxLength: 6 }),
            fc.integer({ min: 2, max: 6 }),
            async (history, size) => {
              const expected = await apply(history);
              assert.deepEqual(await apply(history, size), expected);
              assert.deepEqual(await apply([...history, ...history], size), expected);
            },
          ),
          { numRuns: 50 },
        );
      },
    );
  } finally {
    await sql.close();
  }
});
