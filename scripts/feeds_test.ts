import assert from "node:assert/strict";
import { ShutterlogClient } from "./client/client.ts";
import { startServer, withDataDir } from "./end-to-end/server.ts";
import { drawPhoto } from "./photos/photo.ts";

async function feeds(args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL("feeds.ts", import.meta.url).pathname, ...args],
    env: { NO_COLOR: "1", KAFKA_BROKERS: "", ...env },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), told: decoder.decode(stderr) };
}

Deno.test("deno task feeds: what is asked wrongly ends with 2 and a sentence", async () => {
  await withDataDir(async (dataDir) => {
    const cases: [string[], RegExp][] = [
      [[], /say explain or verify/],
      [["mend"], /there is no mend/],
      [["explain", "ada"], /takes a reader and a post/],
      [["explain", "ada", "7"], /7 is not the id of a post/],
      [["verify", "--fix"], /'--fix'/],
      [["verify"], /there is no log in .*: start deno task dev, or set DATA_DIR/],
    ];
    const ended = await Promise.all(cases.map(([args]) => feeds(args, { DATA_DIR: dataDir })));
    for (const [index, { code, told }] of ended.entries()) {
      const [args, expected] = cases[index] ?? [[], /never/];
      assert.match(told, expected);
      assert.ok(!told.includes("    at "), `${args} is told without a stack trace`);
      assert.equal(code, 2);
    }
    const { code, out } = await feeds(["--help"]);
    assert.ok(code === 0 && out.includes("--repair"));
  });
});

Deno.test("deno task feeds: asks the process that runs, and opens the folder when none does", async () => {
  await withDataDir(async (dataDir) => {
    const env = { DATA_DIR: dataDir };
    const server = await startServer({ dataDir });
    let postId: string;
    try {
      const password = "correct horse battery";
      const [ada, bob] = [1, 2].map(() => new ShutterlogClient(server.baseUrl));
      assert.ok(ada && bob);
      const { account } = await ada.register({ handle: "ada", password });
      await bob.register({ handle: "bob", password });
      await bob.follow(account.id);
      const { bytes } = await drawPhoto({ seed: 1, size: { width: 300, height: 200 } });
      const mediaId = await ada.upload("image/jpeg", bytes);
      await ada.waitForMedia(mediaId);
      ({ postId } = await ada.createPost({ mediaIds: [mediaId] }));
      bob.positions.keep(ada.positions.header ?? null);
      assert.equal((await bob.feed({ await: true })).items[0]?.id, postId);
      await bob.feed();

      const shown = await feeds(["explain", "bob", postId], env);
      assert.match(shown.told, /asked of the process that runs on/);
      assert.match(shown.out, /It is in the feed: served from the cache, at place 1\./);
      assert.match(shown.out, /PostCreated at posts\/\d+ offset 0/);
      assert.equal(shown.code, 0);
      const not = await feeds(["explain", "@ada", postId, "--json"], env);
      assert.match(JSON.parse(not.out).verdict, /the reader does not follow ada/);
      const compared = await feeds(["verify", "bob", "ada"], env);
      assert.match(compared.out, /^1 cached feeds and 0 authors' lists compared, 0 differ/);
      assert.equal(compared.code, 0);
      const stranger = await feeds(["verify", "nobody"], env);
      assert.deepEqual([stranger.code, stranger.told.includes("nobody open")], [2, true]);
    } finally {
      await server.stop();
    }
    const alone = await feeds(["explain", "bob", postId], env);
    assert.match(alone.told, /which no process has open/);
    assert.match(alone.out, /served from the database, since the feed is missing/);
    assert.equal(alone.code, 0);
  });
});
