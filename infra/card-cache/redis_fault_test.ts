import assert from "node:assert/strict";
import calculateSlot from "cluster-key-slot";
import { type FailingCluster, withFailingCluster } from "../redis/testing_cluster.ts";
import { ask } from "../redis/testing.ts";
import { newKey, until } from "./contract.ts";
import { type CardCache, hearingSeconds } from "./port.ts";
import { createRedisCardCache } from "./redis.ts";

/**
 * Fail-overs as they are seen by a process whose map of the cluster is old: a master and its successor
 * both answer it as masters do, or a replica as if it were one.
 */

const channel = "{card:evicted}";

if (!Deno.env.has("SHUTTERLOG_TEST_REDIS_CLUSTER")) {
  console.log("SHUTTERLOG_TEST_REDIS_CLUSTER is not set: card caches are not failed over");
} else {
  test("what is evicted from a master that was replaced is evicted from its successor", async (it) => {
    const key = newKey();
    const writer = await it.behind();
    await writer.evict([key]);
    const master = await it.masterOf(`card:${key}`);
    const replica = await it.replicaOf(master);
    master.freeze();
    await it.promoted(replica);
    const reader = await it.besides(master);
    await fill(reader, key, "old");
    const evicted = writer.evict([key]);
    // It takes what has come to it while it was frozen before it hears that it was replaced.
    master.thaw();
    await evicted;
    const [taken] = await reader.take([key]);
    assert.ok(!taken || "claim" in taken, "the old text is gone");
  });

  test("whoever would listen at a replica hears what is evicted", async (it) => {
    const reader = await it.behind();
    const master = await it.masterOf(channel);
    const replica = await it.replicaOf(master);
    await it.succeed(master, replica);
    // What is told at the master is passed to its replicas at most once: now not at all.
    await ask(replica, "CLUSTER", "FORGET", await ask(master, "CLUSTER", "MYID"));
    const { listening, heard } = listenTo(reader);
    await until(() => listening.live);
    const key = newKey();
    await (await it.besides(master)).evict([key]);
    await listening.caughtUp();
    assert.ok(!listening.live || heard.has(key), "it is not live, or has heard");
    await until(() => listening.live);
  });

  test("all is lost soon after a master was replaced that tells of nothing", async (it) => {
    const reader = await it.behind();
    const { listening, losses } = listenTo(reader);
    await until(() => listening.live);
    const before = losses();
    const master = await it.anotherThan(await it.masterOf(channel));
    const began = performance.now();
    await it.succeed(master, await it.replicaOf(master));
    await until(() => losses() > before);
    assert.ok(performance.now() - began < hearingSeconds * 1000);
    await until(() => listening.live);
  });

  test("a master that does not answer costs nothing until it is replaced", async (it) => {
    const reader = await it.behind();
    const { listening, losses, heard } = listenTo(reader);
    await until(() => listening.live);
    const before = losses();
    const master = await it.anotherThan(await it.masterOf(channel));
    const replica = await it.replicaOf(master);
    master.freeze();
    await listening.caughtUp();
    assert.deepEqual([listening.live, losses()], [true, before], "most masters answer");
    await it.promoted(replica);
    await until(() => losses() > before && listening.live);
    const key = newKey();
    await (await it.besides(master)).evict([key]);
    await listening.caughtUp();
    assert.ok(heard.has(key));
  });

  test("evictions are heard again after the channel's slot was moved", async (it) => {
    const reader = await it.behind();
    const { listening, losses, heard } = listenTo(reader);
    await until(() => listening.live);
    const before = losses();
    const from = await it.masterOf(channel);
    const to = await it.anotherThan(from);
    const slot = String(calculateSlot(channel));
    const [fromId, toId] = [await ask(from, "CLUSTER", "MYID"), await ask(to, "CLUSTER", "MYID")];
    await ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromId);
    await ask(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", toId);
    for (const server of [to, from]) await ask(server, "CLUSTER", "SETSLOT", slot, "NODE", toId);
    await until(() => losses() > before);
    await until(() => listening.live);
    const key = newKey();
    await (await it.besides()).evict([key]);
    await listening.caughtUp();
    assert.ok(heard.has(key));
  });
}

function listenTo(cache: CardCache) {
  const heard = new Set<string>();
  let losses = 0;
  const listening = cache.listen({
    evicted: (keys) => keys.forEach((key) => heard.add(key)),
    lost: () => losses += 1,
  });
  return { listening, heard, losses: () => losses };
}

async function fill(cache: CardCache, key: string, text: string): Promise<void> {
  const [taken] = await cache.take([key]);
  assert.ok(taken && "claim" in taken);
  await cache.fill([{ claim: taken.claim, text }]);
  assert.deepEqual(await cache.take([key]), [{ text }]);
}

function test(claim: string, body: (cluster: FailingCluster<CardCache>) => Promise<void>): void {
  Deno.test(`Redis Cluster: ${claim}`, () =>
    withFailingCluster((client) => createRedisCardCache({ client }), body));
}
