import assert from "node:assert/strict";
import { openSqliteLog } from "../infra/event-log/sqlite.ts";
import { ShutterlogClient } from "./client/client.ts";
import { startServer, withDataDir } from "./end-to-end/server.ts";
import { until } from "./end-to-end/until.ts";
import { drawPhoto } from "./photos/photo.ts";

async function task(name: string, args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL(`${name}.ts`, import.meta.url).pathname, ...args],
    env: { NO_COLOR: "1", KAFKA_BROKERS: "", ...env },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), told: decoder.decode(stderr) };
}

Deno.test("deno task dlq and log: what is asked wrongly ends with 2 and a sentence", async () => {
  await withDataDir(async (dataDir) => {
    const cases: [string, string[], RegExp][] = [
      ["dlq", [], /say list, show, redrive or drop/],
      ["dlq", ["mend"], /there is no mend/],
      ["dlq", ["show"], /show takes an id/],
      ["dlq", ["redrive"], /redrive takes an id/],
      ["dlq", ["redrive", "--all", "--key", "k"], /--all leaves no choice/],
      ["dlq", ["drop", "--projection", "feeds"], /drop takes the id/],
      ["dlq", ["list", "--yes"], /--yes belongs to drop/],
      ["dlq", ["list"], /there is no log in .*: start deno task dev, or set DATA_DIR/],
      ["log", [], /say check/],
      ["log", ["check", "--repair"], /'--repair'/],
    ];
    for (const [name, args, expected] of cases) {
      const { code, told } = await task(name, args, { DATA_DIR: dataDir });
      assert.match(told, expected);
      assert.ok(!told.includes("    at "), `${args} is told without a stack trace`);
      assert.equal(code, 2);
    }
    for (const name of ["dlq", "log"]) {
      const { code, out } = await task(name, ["--help"]);
      assert.ok(code === 0 && out.includes("--json"));
    }
  });
});

Deno.test("deno task dlq and log: a record that nobody can read is found, shown and dropped, and its key lives on", async () => {
  await withDataDir(async (dataDir) => {
    const env = { DATA_DIR: dataDir };
    const server = await startServer({ dataDir });
    try {
      const ada = new ShutterlogClient(server.baseUrl);
      await ada.register({ handle: "ada", password: "correct horse battery" });
      const { bytes } = await drawPhoto({ seed: 1, size: { width: 300, height: 200 } });
      const mediaId = await ada.upload("image/jpeg", bytes);
      await ada.waitForMedia(mediaId);
      const { postId } = await ada.createPost({ mediaIds: [mediaId], caption: "1" });
      assert.deepEqual((await task("dlq", ["list"], env)).code, 0);
      const right = await task("log", ["check"], env);
      assert.match(
        right.out,
        /records and 4 objects, 0 found wrong; \d+ events were appended again/,
      );
      assert.equal(right.code, 0);

      const log = await openSqliteLog({ path: `${dataDir}/log/log.sqlite` });
      const headers = {
        ce_specversion: "1.0",
        ce_id: crypto.randomUUID(),
        ce_source: "/shutterlog",
        ce_type: "shutterlog.CaptionChanged.v9",
        ce_time: new Date().toISOString(),
      };
      const [at] = await log.append([{ topic: "posts", key: postId, value: "{}", headers }]);
      await log.close();
      const id = `read_model/posts/${at?.partition}/${at?.offset}`;
      await until("it is parked", async () => (await task("dlq", ["list"], env)).out.includes(id));
      await ada.editPost(postId, "2");

      const listed = await task(
        "dlq",
        ["list", "--key", postId, "--projection", "read_model"],
        env,
      );
      assert.match(listed.out, new RegExp(`^read_model posts/${postId}: [12] since 20`));
      assert.match(listed.out, /unknown-version/);
      assert.equal(listed.code, 1);
      const shown = await task("dlq", ["show", id, "--json"], env);
      assert.equal(JSON.parse(shown.out).record.type, "shutterlog.CaptionChanged.v9");
      const redriven = await task("dlq", ["redrive", id], env);
      assert.match(redriven.out, new RegExp(`${id} still does not fit: unknown-version`));
      assert.equal(redriven.code, 1);
      const checked = await task("log", ["check", "--json"], env);
      assert.equal(JSON.parse(checked.out).unreadable.count, 1);
      assert.equal(checked.code, 1);

      const asked = await task("dlq", ["drop", id], env);
      assert.match(asked.out, /This would be lost/);
      assert.match(asked.told, /Say --yes if you are certain/);
      assert.equal(asked.code, 2);
      for (const projection of ["read_model", "cards", "feeds"]) {
        const dropped = await task(
          "dlq",
          ["drop", id.replace("read_model", projection), "--yes"],
          env,
        );
        assert.match(dropped.out, /^Forgotten:/);
      }
      const healed = await task("dlq", ["redrive", "--all"], env);
      assert.match(healed.out, /, 0 still parked/);
      assert.equal(healed.code, 0);
      assert.equal((await task("dlq", ["list"], env)).out, "Nothing is parked.\n");
      await until("the edit is there", async () => (await ada.post(postId)).caption === "2");
      await ada.editPost(postId, "3");
      await until("the next is too", async () => (await ada.post(postId)).caption === "3");
    } finally {
      await server.stop();
    }
  });
});
