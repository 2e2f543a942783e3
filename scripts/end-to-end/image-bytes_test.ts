import assert from "node:assert/strict";
import { ShutterlogClient } from "../client/client.ts";
import { drawPhoto } from "../photos/photo.ts";
import { withServer } from "./server.ts";

/** A TCP relay that counts what passes, both ways. */
function countingRelay(target: { hostname: string; port: number }) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let bytes = 0;
  const count = () =>
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.length;
        controller.enqueue(chunk);
      },
    });
  const connections: Promise<unknown>[] = [];
  const serving = (async () => {
    for await (const client of listener) {
      const server = await Deno.connect(target);
      connections.push(Promise.allSettled([
        client.readable.pipeThrough(count()).pipeTo(server.writable),
        server.readable.pipeThrough(count()).pipeTo(client.writable),
      ]));
    }
  })();
  return {
    baseUrl: `http://127.0.0.1:${listener.addr.port}`,
    counted: () => bytes,
    async close() {
      listener.close();
      await serving;
      await Promise.all(connections);
    },
  };
}

Deno.test("no image byte passes the API: uploads go to the store, variants come from the edge", async () => {
  const photos = await Promise.all(
    [1, 2, 3].map((seed) => drawPhoto({ seed, scene: "texture", format: "3:2" })),
  );
  const uploaded = photos.reduce((sum, { bytes }) => sum + bytes.length, 0);
  let relay: ReturnType<typeof countingRelay> | undefined;
  await withServer(async ({ baseUrl }) => {
    relay = countingRelay({ hostname: "127.0.0.1", port: Number(new URL(baseUrl).port) });
    const [ada, bob] = [new ShutterlogClient(relay.baseUrl), new ShutterlogClient(relay.baseUrl)];
    const { account } = await ada.register({ handle: "ada", password: "correct horse battery" });
    await bob.register({ handle: "bob", password: "correct horse battery" });
    await bob.follow(account.id);
    const mediaIds = [];
    for (const { contentType, bytes } of photos) {
      mediaIds.push(await ada.upload(contentType, bytes));
    }
    for (const mediaId of mediaIds) {
      assert.equal((await ada.waitForMedia(mediaId, { everyMs: 500 })).status, "ready");
    }
    await ada.createPost({ mediaIds });
    bob.positions.keep(ada.positions.header ?? null);
    const [card] = (await bob.feed({ await: true })).items;
    let downloaded = 0;
    for (const { variants } of card?.media ?? []) {
      for (const { url } of Object.values(variants ?? {})) {
        downloaded += (await (await fetch(url)).bytes()).length;
      }
    }
    console.log(
      `${uploaded} bytes uploaded, ${downloaded} downloaded, ${relay.counted()} through the API`,
    );
    assert.ok(downloaded > 50_000);
    assert.ok(relay.counted() < downloaded / 2 && relay.counted() < uploaded / 20);
  });
  await relay?.close();
});
