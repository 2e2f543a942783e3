import assert from "node:assert/strict";
import { silentLogger } from "../telemetry/logger.ts";
import { imageProcessorContract, quadrants } from "./contract.ts";
import { createIsolatedProcessor, ImageProcessDied } from "./isolated.ts";

imageProcessorContract(
  "isolated",
  () => createIsolatedProcessor({ processes: 1, logger: silentLogger }),
);

Deno.test("isolated: a process that dies fails its own image and no other", async () => {
  const firstPid = Promise.withResolvers<number>();
  await using processor = createIsolatedProcessor({
    processes: 2,
    logger: { ...silentLogger, debug: (_, fields) => firstPid.resolve(Number(fields?.pid)) },
  });
  const small = await quadrants(300, 200).png().toBuffer();
  const doomed = assert.rejects(processor.process(small), (error) => {
    assert(error instanceof ImageProcessDied);
    assert.match(error.message, /SIGKILL/);
    return true;
  });
  const other = processor.process(small);
  Deno.kill(await firstPid.promise, "SIGKILL");
  await doomed;
  assert.equal((await other).width, 300);
  assert.equal((await processor.process(small)).width, 300, "another process takes its place");
  assert.equal((await processor.process(small)).width, 300);
});

Deno.test("isolated: more images than processes wait for their turn", async () => {
  const pids = new Set<unknown>();
  await using processor = createIsolatedProcessor({
    processes: 2,
    logger: { ...silentLogger, debug: (_, fields) => pids.add(fields?.pid) },
  });
  const files = await Promise.all(
    [10, 20, 30, 40, 50, 60].map((width) => quadrants(width, 10).png().toBuffer()),
  );
  const images = await Promise.all(files.map((file) => processor.process(file)));
  assert.deepEqual(images.map(({ width }) => width), [10, 20, 30, 40, 50, 60]);
  assert.equal(pids.size, 2);
});
