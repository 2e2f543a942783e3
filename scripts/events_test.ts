import assert from "node:assert/strict";
import type { DomainEvent } from "../domain/events.ts";
import { encodeEvent } from "../infra/event-log/codec.ts";
import { newId } from "../infra/event-log/ids.ts";
import { AccountSealer } from "../infra/identity/sealing.ts";
import { syntheticEvents } from "./bench/million.ts";
import { events, fillSynthetic, openStores, withFolders } from "./events/testing.ts";

const synthetic = { seed: 9, count: 3_000, days: 2 };

Deno.test("deno task events: what is asked wrongly ends with 2 and a sentence", async () => {
  await withFolders(1, async (empty = "") => {
    const cases: [string[], RegExp][] = [
      [[], /say replay, append, export, query/],
      [["rewind"], /there is no rewind/],
      [["replay"], /there is no .*log\.sqlite: start deno task dev, or set DATA_DIR/],
      [["replay", "--from", "yesterday"], /--from takes a time as 2026-11-22T18:00:00Z/],
      [["replay", "--type", "PostRead"], /there is no PostRead; there are AccountRegistered/],
      [["replay", "--topic", "likes"], /there is no likes; there are accounts, follows/],
      [["replay", "--speed", "0"], /--speed takes a number above 0, or max/],
      [["replay", "--follow", "--to", "2026-11-22"], /leave out --to/],
      [["export", "--format", "xml"], /--format takes parquet, ndjson, csv, not xml/],
      [["query"], /ask one question, in quotes/],
      [["query", "--format", "xml", "select 1"], /--format takes table, csv or json/],
      [["query", "--fast"], /'--fast'/],
    ];
    for (const [args, expected] of cases) {
      const { code, told } = await events(empty, args);
      assert.match(told, expected);
      assert.ok(!told.includes("    at "), `${args} is told without a stack trace`);
      assert.equal(code, 2);
    }
    for (const command of ["replay", "append", "export", "query"]) {
      const { code, out } = await events(empty, [command, "--help"]);
      assert.ok(code === 0 && out.includes("--help"));
    }
    assert.deepEqual(await Array.fromAsync(Deno.readDir(empty)), [], "asking leaves nothing");
  });
});

Deno.test("replay: every event once, in the order of time, by type, key and span; also when its reader leaves", async () => {
  await withFolders(1, async (dataDir = "") => {
    await fillSynthetic(dataDir, synthetic);
    const happened = [...syntheticEvents(synthetic)];
    const closed = new Set(
      happened.flatMap(({ type, data }) => type === "AccountClosed" ? [data.accountId] : []),
    );
    const replay = async (...args: string[]) => {
      const { code, out, told } = await events(dataDir, ["replay", ...args]);
      assert.equal(code, 0, told);
      return out.split("\n").slice(0, -1).map((line) => JSON.parse(line));
    };
    const all = await replay();
    assert.deepEqual(new Set(all.map(({ id }) => id)), new Set(happened.map(({ id }) => id)));
    for (const [nth, line] of all.entries()) {
      assert.ok(line.time >= (all[nth - 1]?.time ?? ""));
      const said = happened.find(({ id }) => id === line.id);
      const { authorId, accountId } = line.data;
      if (!closed.has(authorId ?? accountId)) assert.deepEqual(line.data, said?.data);
    }
    const [a, b] = [happened[1_000]?.time ?? "", happened[2_000]?.time ?? ""];
    const span = await replay("--from", a, "--to", b, "--type", "PostLiked,PostCreated");
    assert.deepEqual(
      span.map(({ id }) => id).sort(),
      happened.filter(({ type, time }) =>
        ["PostLiked", "PostCreated"].includes(type) && time >= a && time < b
      ).map(({ id }) => id).sort(),
    );
    const key = span.find(({ type }) => type.includes("PostCreated"))?.subject;
    const about = await replay("--key", key);
    assert.ok(about.length > 0);
    assert.deepEqual(about, all.filter(({ subject }) => subject === key));

    const script = new URL("events.ts", import.meta.url).pathname;
    const left = await new Deno.Command("bash", {
      args: [
        "-c",
        `${Deno.execPath()} run -A --no-check ${script} replay | head -1; echo $PIPESTATUS`,
      ],
      env: { DATA_DIR: dataDir, KAFKA_BROKERS: "", NO_COLOR: "1" },
    }).output();
    const [line = "", code] = new TextDecoder().decode(left.stdout).split("\n");
    assert.deepEqual([JSON.parse(line), code], [all[0], "0"]);
    assert.ok(!new TextDecoder().decode(left.stderr).includes("Broken"));
  });
});

Deno.test("append: a wrong line is named, and those before it are there; it can be taken up again", async () => {
  await withFolders(2, async (original = "", copy = "") => {
    await fillSynthetic(original, synthetic);
    const { out: replay } = await events(original, ["replay"]);
    const lines = replay.split("\n").slice(0, -1);
    const wrong: [string, RegExp][] = [
      ["{", /line 1201: not JSON/],
      ["{}", /line 1201: /],
      [
        (lines[1_200] ?? "").replace(/"postId":"[^"]*"/, '"postId":"7"')
          .replace(/"accountId":"[^"]*"/, '"accountId":"7"').replace(
            /"followerId":"[^"]*"/,
            '"followerId":"7"',
          ).replace(/"mediaId":"[^"]*"/, '"mediaId":"7"'),
        /line 1201: /,
      ],
      [(lines[1_200] ?? "").replace(/\.v1"/, '.v7"'), /line 1201: .* is newer than v1/],
    ];
    for (const [line, expected] of wrong) {
      const input = lines.toSpliced(1_200, 1, line).join("\n");
      const { code, told } = await events(copy, ["append", "--force"], { input });
      assert.match(told, expected);
      assert.equal(code, 1);
      assert.equal((await events(copy, ["replay"])).out, `${lines.slice(0, 1_200).join("\n")}\n`);
    }
    const { code, out } = await events(copy, ["append", "--force", "--json"], { input: replay });
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(out), { appended: lines.length - 1_200, known: 1_200 });
    assert.equal((await events(copy, ["replay"])).out, replay);
  });
});

Deno.test("append: text that comes before its writer's registration waits for it; one that never comes is named", async () => {
  await withFolders(2, async (dataDir = "", other = "") => {
    const [ada, post] = [newId(), newId()];
    const line = (type: string, time: string, data: unknown) =>
      JSON.stringify({
        ...{ specversion: "1.0", id: newId(), source: "/shutterlog", time, data },
        type: `shutterlog.${type}.v1`,
      });
    const created = line("PostCreated", "2026-11-22T18:00:00.000Z", {
      ...{ postId: post, authorId: ada, mediaIds: [newId()], caption: "Dawn", altTexts: {} },
    });
    const deleted = line("PostDeleted", "2026-11-22T18:00:01.000Z", {
      ...{ postId: post, authorId: ada, cause: "author" },
    });
    const registered = line("AccountRegistered", "2026-11-22T18:00:02.000Z", {
      ...{ accountId: ada, handle: "ada" },
    });
    const input = [created, deleted, registered].join("\n");
    assert.equal((await events(dataDir, ["append"], { input })).code, 0);
    const { out } = await events(dataDir, ["replay", "--key", post]);
    const [first, second] = out.split("\n").slice(0, 2).map((line) => JSON.parse(line));
    assert.deepEqual([first.data.caption, first.offset], ["Dawn", 0]);
    assert.deepEqual([second.type, second.offset], ["shutterlog.PostDeleted.v1", 1]);

    const orphan = await events(other, ["append"], { input: created });
    assert.equal(orphan.code, 1);
    assert.match(orphan.told, new RegExp(`line 1: its text is that of account ${ada}`));
    const taken = line("AccountRegistered", "2026-11-22T18:00:03.000Z", {
      ...{ accountId: newId(), handle: "ADA" },
    });
    const twice = await events(dataDir, ["append", "--force"], { input: taken });
    assert.match(twice.told, /line 1: another account of this instance has the handle ADA/);
  });
});

Deno.test("an account that closes is gone from replay, export and query, then and now, and nobody else is", async () => {
  await withFolders(2, async (dataDir = "", exported = "") => {
    const happened = [...syntheticEvents(synthetic)];
    await fillSynthetic(dataDir, synthetic);
    const created = happened.findLast(({ type, data }) =>
      type === "PostCreated" && (data.caption ?? "") !== ""
    );
    assert.ok(created?.type === "PostCreated");
    const { authorId, caption, postId } = created.data;
    const before = new Date(Date.parse(created.time) + 1).toISOString();
    const ask = async (sql: string) => {
      const { code, out, told } = await events(dataDir, [
        ...["query", "--at", before, "--format", "csv", sql],
      ]);
      assert.equal(code, 0, told);
      return out.split("\r\n");
    };
    const look = async () => ({
      replay: (await events(dataDir, ["replay"])).out.split("\n"),
      accounts: await ask("select * from accounts order by account_id"),
      posts: await ask("select * from posts order by post_id"),
      comments: await ask("select * from comments order by comment_id"),
      export: (await events(dataDir, ["export", "--to", exported])).code,
    });
    const then = await look();
    assert.ok(then.replay.some((line) => line.includes(`"caption":"${caption}"`)));
    assert.ok(then.posts.some((line) => line.includes(postId) && line.includes(caption ?? "?")));

    // As the command edge closes it: the key goes in one transaction with the event.
    await using stores = await openStores(dataDir);
    const closed: DomainEvent = {
      ...{ id: newId(), type: "AccountClosed", time: new Date().toISOString() },
      data: { accountId: authorId },
    };
    const record = await encodeEvent(closed, new AccountSealer(stores));
    await stores.identity.close(authorId, record);
    // While its event is still on its way to the log, the text is already gone from what is asked.
    const atOnce = await ask(`select caption from posts where post_id = '${postId}'`);
    assert.equal(atOnce[1], "");
    await stores.log.append([record]);

    const now = await look();
    for (const what of ["replay", "accounts", "posts", "comments"] as const) {
      const others = (lines: readonly string[]) => lines.filter((line) => !line.includes(authorId));
      assert.deepEqual(others(now[what]), others(then[what]), `${what} of others`);
      const theirs = now[what].filter((line) => line.includes(authorId)).join("\n");
      assert.ok(theirs.length > 0 || what === "comments");
      assert.ok(!theirs.includes(caption ?? "?"), `${what} has the text removed`);
    }
    const [, account = ""] = await ask(`select * from accounts where account_id = '${authorId}'`);
    assert.match(account, new RegExp(`^${authorId},,,,,`), "the account, without its text");
    const files = await events(dataDir, [
      ...["query", "--dir", exported, "--no-refresh", "--format", "csv"],
      `select count(*) from PostCreated where caption = '${caption}' and author_id = '${authorId}'`,
    ]);
    assert.equal(files.out.split("\r\n")[1], "0");
  });
});
