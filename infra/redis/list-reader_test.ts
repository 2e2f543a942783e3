import assert from "node:assert/strict";
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { silentLogger } from "../telemetry/logger.ts";
import { closeRedis, openRedis, type RedisAddress, type RedisClient } from "./client.ts";
import { ListReader } from "./list-reader.ts";
import { RedisNodes } from "./nodes.ts";
import type { Reply } from "./reply.ts";

const url = Deno.env.get("SHUTTERLOG_TEST_REDIS");
const nodes = Deno.env.get("SHUTTERLOG_TEST_REDIS_CLUSTER");
if (url) reading("Redis", { url });
else console.log("SHUTTERLOG_TEST_REDIS is not set: lists are not read from a single Redis");
if (nodes) reading("Redis Cluster", { nodes: nodes.split(",") });
else console.log("SHUTTERLOG_TEST_REDIS_CLUSTER is not set: lists are not read from a cluster");

const patience = 200;

function texts({ bytes, starts, ends }: Reply): string[] {
  return starts.map((start, nth) => new TextDecoder().decode(bytes.subarray(start, ends[nth])));
}

async function on(address: RedisAddress, work: (client: RedisClient) => Promise<void>) {
  const client = openRedis(address, silentLogger);
  try {
    if (client.status !== "ready") await once(client, "ready");
    await work(client);
  } finally {
    await closeRedis(client);
  }
}

/** What a list begins with, once there is a connection to its node. */
async function connected(reader: ListReader, key: string): Promise<void> {
  while (!await reader.head(key, 1, texts)) await turn();
}

function reading(name: string, address: RedisAddress): void {
  Deno.test(`ListReader: on ${name}, each has its own list's head, of all that ask together`, () =>
    on(address, async (client) => {
      const reader = new ListReader(new RedisNodes(client), patience);
      const run = crypto.randomUUID();
      const keys = Array.from({ length: 40 }, (_, nth) => `${run}:${nth}`);
      try {
        for (const key of keys) {
          await client.rpush(key, ...Array.from({ length: 30 }, (_, nth) => `${key}:${nth}`));
          await connected(reader, key);
        }
        const heads = await Promise.all(keys.map((key) => reader.head(key, 25, texts)));
        for (const [nth, key] of keys.entries()) {
          const { value, history } = heads[nth] ?? {};
          assert.deepEqual(value, Array.from({ length: 25 }, (_, nth) => `${key}:${nth}`));
          assert.match(history ?? "", /^[0-9a-f]{40}$/);
        }
        assert.deepEqual((await reader.head(`${run}:none`, 5, texts))?.value, []);
      } finally {
        await Promise.all(keys.map((key) => client.unlink(key)));
        await reader.close();
      }
    }));

  Deno.test(`ListReader: on ${name}, what is no list is not found, and its neighbours are`, () =>
    on(address, async (client) => {
      const reader = new ListReader(new RedisNodes(client), patience);
      // On one node: the part in braces alone chooses it.
      const tag = `{${crypto.randomUUID()}}`;
      const [list, text, other] = [`${tag}1`, `${tag}2`, `${tag}3`];
      try {
        await client.rpush(list, "a");
        await client.set(text, "b");
        await client.rpush(other, "c");
        await connected(reader, list);
        const heads = await Promise.all(
          [list, text, other].map((key) => reader.head(key, 9, texts)),
        );
        assert.deepEqual(heads.map((head) => head?.value), [["a"], undefined, ["c"]]);
      } finally {
        await client.unlink(list, text, other);
        await reader.close();
      }
    }));
}

Deno.test("ListReader: a server that falls silent is given up, without an error", async () => {
  const server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = server.addr as Deno.NetAddr;
  let asked = 0;
  const listen = async (socket: Deno.Conn) => {
    using _ = socket;
    const buffer = new Uint8Array(4096);
    for (;;) {
      const count = await socket.read(buffer).catch(() => null);
      if (count === null) return;
      // ioredis says other things.
      if (new TextDecoder().decode(buffer.subarray(0, count)).includes("LRANGE")) asked++;
    }
  };
  const listening: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const socket of server) listening.push(listen(socket));
  })();
  const client = openRedis({ url: `redis://127.0.0.1:${port}` }, silentLogger);
  const reader = new ListReader(new RedisNodes(client), patience);
  try {
    while (asked === 0) {
      assert.equal(await reader.head("key", 1, texts), undefined);
      await turn();
    }
    assert.equal(await reader.head("key", 1, texts), undefined, "nor is there a connection now");
    assert.equal(asked, 1);
  } finally {
    await reader.close();
    await closeRedis(client);
    server.close();
    await accepting;
    await Promise.all(listening);
  }
});
