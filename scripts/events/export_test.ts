import assert from "node:assert/strict";
import { encodeEvent } from "../../infra/event-log/codec.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { AccountSealer } from "../../infra/identity/sealing.ts";
import type { DomainEvent } from "../../domain/events.ts";
import { syntheticEvents } from "../bench/million.ts";
import { openAnalysis } from "./analysis.ts";
import { events, filesIn, fillSynthetic, openStores, withFolders } from "./testing.ts";
import { dummyHash } from "../../infra/identity/passwords.ts";

/** The rows of an export, whatever its files' bytes. */
async function rowsOf(folder: string): Promise<unknown[][]> {
  const analysis = await openAnalysis({ folder });
  try {
    const { rows } = await analysis.ask('FROM events ORDER BY topic, partition, "offset"');
    return rows.map((row) => [...row]);
  } finally {
    await analysis.close();
  }
}

async function texts(folder: string, suffix: string): Promise<Map<string, string>> {
  const files = await filesIn(folder);
  const decoder = new TextDecoder();
  return new Map(
    [...files].filter(([path]) => path.endsWith(suffix))
      .map(([path, bytes]) => [path, decoder.decode(bytes)]),
  );
}

/** Appends events, with accounts of their own, as they happen; registrations are adopted. */
async function happen(dataDir: string, happened: readonly DomainEvent[]): Promise<void> {
  await using stores = await openStores(dataDir);
  const sealer = new AccountSealer(stores);
  for (const event of happened) {
    if (event.type === "AccountRegistered") {
      const { accountId, handle } = event.data;
      await stores.identity.adopt({ accountId, handle: handle ?? "", passwordHash: dummyHash });
    }
    const record = await encodeEvent(event, sealer);
    if (event.type === "AccountClosed") {
      await stores.identity.close(event.data.accountId, record);
      sealer.forget(event.data.accountId);
      const [row] = await stores.identity.pendingOutbox(1);
      if (row) await stores.identity.removeOutbox([row.id]);
    }
    await stores.log.append([record]);
  }
}

const synthetic = { seed: 5, count: 4_000, days: 3 };

Deno.test("export: twice is as once; only what came since is read; a retry's second event is left out", async () => {
  await withFolders(3, async (dataDir = "", twice = "", once = "") => {
    const happened = [...syntheticEvents(synthetic)];
    await happen(dataDir, happened.slice(0, 2_500));
    const first = await events(dataDir, ["export", "--to", twice, "--json"]);
    assert.equal(first.code, 0, first.told);
    assert.equal(JSON.parse(first.out).events, 2_500);
    const again = happened.slice(2_400, 2_450).filter(({ type }) => type === "PostLiked");
    await happen(dataDir, [...happened.slice(2_500), ...again]);
    const second = await events(dataDir, ["export", "--to", twice, "--json"]);
    assert.equal(JSON.parse(second.out).events, 1_500 + again.length);
    await events(dataDir, ["export", "--to", once]);
    const rows = await rowsOf(twice);
    assert.equal(rows.length, happened.length);
    assert.deepEqual(rows, await rowsOf(once));
    const nothing = await events(dataDir, ["export", "--to", twice, "--json"]);
    assert.deepEqual([JSON.parse(nothing.out).events, JSON.parse(nothing.out).files], [0, 0]);
  });
});

Deno.test("export: killed at whatever instant and taken up again, it is as if it had not been", async () => {
  await withFolders(3, async (dataDir = "", killed = "", whole = "") => {
    await fillSynthetic(dataDir, { seed: 6, count: 12_000, days: 12 });
    await events(dataDir, ["export", "--to", whole]);
    const script = new URL("../events.ts", import.meta.url).pathname;
    let died = 0;
    for (const after of [900, 1_300, 1_700, 2_200]) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", script, "export", "--to", killed],
        env: { DATA_DIR: dataDir, KAFKA_BROKERS: "" },
        stdout: "null",
        stderr: "null",
      }).spawn();
      const timer = setTimeout(() => child.kill("SIGKILL"), after);
      const { signal } = await child.status;
      clearTimeout(timer);
      if (signal === "SIGKILL") died++;
    }
    assert.ok(died > 0, "it was killed while it worked");
    const last = await events(dataDir, ["export", "--to", killed]);
    assert.equal(last.code, 0, last.told);
    assert.deepEqual(await rowsOf(killed), await rowsOf(whole));
    const names = async (folder: string) => [...(await filesIn(folder)).keys()].sort();
    assert.deepEqual(await names(killed), await names(whole), "nothing is left lying about");
  });
});

for (const format of ["parquet", "ndjson", "csv"]) {
  Deno.test(`export: a closed account's text is taken from ${format} files written before, and nothing else changes`, async () => {
    await withFolders(3, async (dataDir = "", kept = "", fresh = "") => {
      const happened = [...syntheticEvents(synthetic)];
      const author = happened.findLast(({ type, data }) =>
        type === "PostCreated" && Object.keys(data.altTexts).length > 0
      )?.data as { authorId: string; caption: string };
      const accountId = author.authorId;
      await happen(dataDir, happened);
      const args = (to: string) => ["export", "--format", format, "--to", to, "--json"];
      assert.equal((await events(dataDir, args(kept))).code, 0);
      const before = await texts(kept, `.${format}`);
      const closed: DomainEvent = {
        ...{ id: newId(), type: "AccountClosed", time: "2026-09-20T00:00:00.000Z" },
        data: { accountId },
      };
      await happen(dataDir, [closed]);
      const told = await events(dataDir, args(kept));
      assert.equal(told.code, 0, told.told);
      const { erased } = JSON.parse(told.out);
      assert.ok(erased.files > 0, told.out);
      await events(dataDir, args(fresh));
      const after = await texts(kept, `.${format}`);
      if (format === "parquet") assert.deepEqual(await rowsOf(kept), await rowsOf(fresh));
      else assert.deepEqual(after, await texts(fresh, `.${format}`));
      if (format === "parquet") {
        const analysis = await openAnalysis({ folder: kept });
        const { rows: [row] } = await analysis.ask(
          `SELECT count(*), count(caption), count(list_filter(map_values(alt_texts), lambda t: t <> '')[1])
           FROM PostCreated WHERE author_id = '${accountId}'`,
        );
        await analysis.close();
        assert.ok(Number(row?.[0]) > 0);
        assert.deepEqual(row?.slice(1), [0, 0]);
      } else {
        const lines = (files: Map<string, string>) =>
          [...before.keys()].flatMap((path) => files.get(path)?.split("\n") ?? []);
        const others = (files: Map<string, string>) =>
          lines(files).filter((line) => !line.includes(accountId)).sort();
        assert.deepEqual(others(after), others(before), "other people's rows stay byte for byte");
        assert.ok(lines(before).some((line) => line.includes(author.caption)));
        assert.ok(!lines(after).some((line) => line.includes(author.caption)));
      }
    });
  });
}

Deno.test("export: a folder of another log, or of another format, is not added to", async () => {
  await withFolders(3, async (one = "", other = "", folder = "") => {
    await fillSynthetic(one, { seed: 1, count: 200 });
    await fillSynthetic(other, { seed: 2, count: 200 });
    assert.equal((await events(one, ["export", "--to", folder])).code, 0);
    const mixed = await events(other, ["export", "--to", folder]);
    assert.deepEqual([mixed.code, /holds the export of another log/.test(mixed.told)], [2, true]);
    const format = await events(one, ["export", "--to", folder, "--format", "csv"]);
    assert.match(format.told, /holds parquet, not csv/);
    assert.equal((await events(one, ["export", "--format", "xml"])).code, 2);
  });
});
