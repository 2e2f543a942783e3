import assert from "node:assert/strict";
import { openRedis, type RedisAddress } from "../redis/client.ts";
import { Keys } from "../feed-cache/redis_test_keys.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { cardCacheContract, newKey, until } from "./contract.ts";
import { type CardCache, hearingSeconds, type Listening } from "./port.ts";
import { createRedisCardCache } from "./redis.ts";

const url = Deno.env.get("SHUTTERLOG_TEST_REDIS");
const nodes = Deno.env.get("SHUTTERLOG_TEST_REDIS_CLUSTER");
if (url) {
  redisTests("Redis", { url });
  deafTests(url);
} else console.log("SHUTTERLOG_TEST_REDIS is not set: cards on a single Redis are not tested");
if (nodes) redisTests("Redis Cluster", { nodes: nodes.split(",") });
else console.log("SHUTTERLOG_TEST_REDIS_CLUSTER is not set: cards on a cluster are not tested");

function redisTests(name: string, address: RedisAddress): void {
  const open = () => {
    const client = openRedis(address, silentLogger);
    const keys = new Keys(client);
    const cache = createRedisCardCache({ client, prefix: keys.prefix });
    const other = createRedisCardCache({
      client: openRedis(address, silentLogger),
      prefix: keys.prefix,
    });
    const close = async () => {
      await keys.remove();
      await Promise.all([cache.close(), other.close()]);
    };
    const forget = () => keys.remove();
    return { cache, other, client, keys, close, lapseClaims: () => keys.lapse(), forget };
  };
  cardCacheContract(name, () => Promise.resolve(open()));

  const test = (claim: string, body: (subject: ReturnType<typeof open>) => Promise<void>) =>
    Deno.test(`${name}: ${claim}`, async () => {
      const subject = open();
      try {
        await body(subject);
      } finally {
        await subject.close();
      }
    });
  /** The servers that may serve the channel. */
  const masters = ({ client }: ReturnType<typeof open>) =>
    "nodes" in client ? client.nodes("master") : [client];

  test("a lost connection is said, and what is evicted later is heard again", async (subject) => {
    const heard: string[] = [];
    let losses = 0;
    const listening = subject.cache.listen({
      evicted: (keys) => heard.push(...keys),
      lost: () => losses += 1,
    });
    await until(() => listening.live);
    await Promise.all(
      masters(subject).map((node) => node.call("CLIENT", ["KILL", "TYPE", "pubsub"])),
    );
    await until(() => losses === 1);
    await until(() => listening.live);
    const key = newKey();
    await subject.other.evict([key]);
    await listening.caughtUp();
    assert.deepEqual([heard, losses], [[key], 1]);
  });

  test("a text of another history is missing, and may be claimed", async ({ cache, client, keys }) => {
    const key = newKey();
    const [taken] = await cache.take([key]);
    assert.ok(taken && "claim" in taken);
    await cache.fill([{ claim: taken.claim, text: "text" }]);
    const kept = await client.get(keys.prefix + key);
    await client.set(keys.prefix + key, `T${"0".repeat(40)}${kept?.slice(41)}`);
    const [again] = await cache.take([key]);
    assert.ok(again && "claim" in again);
    await cache.fill([{ claim: again.claim, text: "new" }]);
    assert.deepEqual(await cache.take([key]), [{ text: "new" }]);
  });

  test("a text is kept for minutes, a claim for seconds", async ({ cache, client, keys }) => {
    const key = newKey();
    const [taken] = await cache.take([key]);
    assert.ok(taken && "claim" in taken);
    const claimed = await client.pttl(keys.prefix + key);
    assert.ok(claimed > 9_000 && claimed <= 10_000, `${claimed}`);
    await cache.fill([{ claim: taken.claim, text: "text" }]);
    const kept = await client.pttl(keys.prefix + key);
    assert.ok(kept > 590_000 && kept <= 600_000, `${kept}`);
  });
}

/** One process hears Redis through a line that can be held, another is connected as it is. */
function deafTests(url: string): void {
  const test = (
    claim: string,
    body: (it: {
      line: Line;
      other: CardCache;
      listening: Listening;
      heard: Set<string>;
    }) => Promise<void>,
  ) =>
    Deno.test(`Redis: ${claim}`, async () => {
      const line = new Line(new URL(url));
      const direct = openRedis({ url }, silentLogger);
      const keys = new Keys(direct);
      const through = createRedisCardCache({
        client: openRedis({ url: line.url }, silentLogger),
        prefix: keys.prefix,
      });
      const other = createRedisCardCache({ client: direct, prefix: keys.prefix });
      const heard = new Set<string>();
      const listening = through.listen({
        evicted: (keys) => keys.forEach((key) => heard.add(key)),
        lost: () => heard.clear(),
      });
      try {
        await until(() => listening.live);
        await body({ line, other, listening, heard });
      } finally {
        line.release();
        await Promise.all([through.close(), other.close()]);
        await line.close();
      }
    });

  test("who has caught up has heard what was evicted before, however late that comes", async (it) => {
    const key = newKey();
    it.line.hold();
    await it.other.evict([key]);
    setTimeout(() => it.line.release(), 200);
    await it.listening.caughtUp();
    assert.ok(it.heard.has(key), "it was heard");
    assert.ok(it.listening.live);
  });

  test("who cannot catch up within half a second is not live any more", async (it) => {
    // What it says arrives, and is answered: it does not come back to it.
    it.line.hold({ butFirst: true });
    await it.other.evict([newKey()]);
    const began = performance.now();
    await it.listening.caughtUp();
    assert.ok(!it.listening.live);
    assert.ok(performance.now() - began < 1_000);
    it.line.release();
    await until(() => it.listening.live);
  });

  test("who hears nothing, not even themselves, shows nothing", async (it) => {
    it.line.hold();
    const held = performance.now();
    await until(() => !it.listening.live);
    assert.ok(performance.now() - held < (hearingSeconds + 0.5) * 1000);
    it.line.release();
    await until(() => it.listening.live);
  });
}

/** A way to a server on which answers can be held back, and none is lost. */
class Line {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #passing = new Set<Promise<unknown>>();
  readonly #serving: Promise<void>;
  #gate = Promise.withResolvers<void>();
  #butFirst = false;

  constructor(target: URL) {
    this.#gate.resolve();
    this.#serving = this.#serve({ hostname: target.hostname, port: Number(target.port) });
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#listener.addr.port}`;
  }

  /** Holds all connections' answers, or all but those of the first: a client's own. */
  hold({ butFirst = false } = {}): void {
    this.#butFirst = butFirst;
    this.#gate = Promise.withResolvers();
  }

  release(): void {
    this.#gate.resolve();
  }

  /** Once its clients have gone. */
  async close(): Promise<void> {
    this.#listener.close();
    await this.#serving;
    await Promise.all(this.#passing);
  }

  async #serve(target: Deno.ConnectOptions): Promise<void> {
    let connections = 0;
    for await (const client of this.#listener) {
      const first = connections++ === 0;
      const server = await Deno.connect(target);
      const held = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
        transform: async (bytes, controller) => {
          if (!first || !this.#butFirst) await this.#gate.promise;
          controller.enqueue(bytes);
        },
      });
      const passing = Promise.allSettled([
        client.readable.pipeTo(server.writable),
        server.readable.pipeThrough(held).pipeTo(client.writable),
      ]);
      this.#passing.add(passing);
    }
  }
}
