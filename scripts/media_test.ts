import assert from "node:assert/strict";
import { ShutterlogClient } from "./client/client.ts";
import { freePort, startServer, withDataDir } from "./end-to-end/server.ts";
import { statusOf, until } from "./end-to-end/until.ts";
import { drawPhoto } from "./photos/photo.ts";

const script = new URL("media.ts", import.meta.url).pathname;

async function media(args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, ...args],
    env: { NO_COLOR: "1", KAFKA_BROKERS: "", ...env },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), told: decoder.decode(stderr) };
}

Deno.test("deno task media: what is asked wrongly ends with 2 and a sentence", async () => {
  await withDataDir(async (dataDir) => {
    const cases: [string[], RegExp][] = [
      [[], /say regenerate/],
      [["regenerate"], /say which/],
      [["regenerate", "--all", "--account", "ada"], /say which/],
      [["regenerate", "--media", "7"], /7 is not the id of a medium/],
      [["regenerate", "--all", "--recipe", "best"], /takes a number, not best/],
      [["regenerate", "--all"], /there is no log in/],
    ];
    const ended = await Promise.all(cases.map(([args]) => media(args, { DATA_DIR: dataDir })));
    for (const [index, { code, told }] of ended.entries()) {
      assert.match(told, cases[index]?.[1] ?? /never/);
      assert.ok(!told.includes("    at "), "it is told without a stack trace");
      assert.equal(code, 2);
    }
    const { code, out } = await media(["--help"]);
    assert.ok(code === 0 && out.includes("--recipe"));
  });
});

Deno.test("deno task media regenerate: killed half-way it goes on; posts show the new variants, and the old ones go", async () => {
  await withDataDir(async (dataDir) => {
    const env = { PORT: freePort(), IMAGE_CONCURRENCY: "1" };
    let server = await startServer({ dataDir, env });
    try {
      const ada = new ShutterlogClient(server.baseUrl);
      await ada.register({ handle: "ada", password: "correct horse battery" });
      const ids: string[] = [];
      for (let seed = 1; seed <= 8; seed++) {
        const { bytes } = await drawPhoto({ seed, size: { width: 2400, height: 1600 } });
        ids.push(await ada.upload("image/jpeg", bytes));
      }
      for (const id of ids) await ada.waitForMedia(id);
      const [first = "", lost = ""] = ids;
      const { postId } = await ada.createPost({ mediaIds: ids });
      const before = await ada.media(first);
      const largeOf = async (id: string) => (await ada.media(id)).variants?.large;
      await removeNamed(`${dataDir}/objects`, `${lost}.object`);

      const asked = ["regenerate", "--all", "--recipe", "2"];
      const interrupted = media(asked, { DATA_DIR: dataDir });
      const remade = async () => {
        const all = await Promise.all(ids.map(largeOf));
        return all.filter((large) => large?.url.includes("/r2-")).length;
      };
      await until("the first is made", async () => await remade() > 0);
      await server.kill();
      assert.equal((await interrupted).code, 2);
      server = await startServer({ dataDir, env });
      const half = await remade();
      assert.ok(half < ids.length - 1, `${half} were made when it was killed`);

      const ended = await media([...asked, "--json"], { DATA_DIR: dataDir });
      const found = JSON.parse(ended.out);
      assert.deepEqual([found.unmade, found.recipe], [[{ mediaId: lost, why: "gone" }], 2]);
      assert.equal(ended.code, 1);
      await until("all are shown", async () => await remade() === ids.length - 1);

      const after = await ada.media(first);
      const [large, was] = [after.variants?.large, before.variants?.large];
      assert.ok(large && was && large.byteLength < was.byteLength, "it has another size");
      assert.equal(await statusOf(large.url), 200);
      assert.equal(
        await statusOf(was.url),
        200,
        "a page that was just shown still has its picture",
      );
      const card = await ada.post(postId);
      assert.equal(card.media[0]?.variants?.large.url, large.url);
      const again = await media([...asked, "--json"], { DATA_DIR: dataDir });
      assert.equal(JSON.parse(again.out).made, 0);

      await until("the old one is gone", async () => await statusOf(was.url) === 404, 120_000);
      for (const { variants } of (await ada.post(postId)).media) {
        assert.equal(await statusOf(variants?.large.url ?? ""), 200);
      }
    } finally {
      await server.stop();
    }
  });
});

async function removeNamed(folder: string, name: string): Promise<void> {
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) await removeNamed(path, name);
    else if (entry.name === name) await Deno.remove(path);
  }
}
