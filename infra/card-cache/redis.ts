import { closeRedis, type RedisClient } from "../redis/client.ts";
import { Elections } from "../redis/elections.ts";
import { Histories } from "../redis/histories.ts";
import { RedisNodes } from "../redis/nodes.ts";
import { type CardCache, type Claim, claimSeconds, type Taken } from "./port.ts";
import { RedisListening } from "./redis-listening.ts";
import { claimScript, fillScript } from "./redis-scripts.ts";

/** Milliseconds a reader waits before the database must answer, and a projection before it fails. */
const patience = { read: 500, write: 5_000 };
/** Milliseconds a text is kept: a belt, should an eviction never be sent. */
const lifetime = 600_000;
/** Keys in one message, at most. */
const messageLength = 1_000;

/** Before a text, or a claim's token: a letter that tells which, and 40 digits of history. */
const headLength = 41;

/**
 * Texts in Redis, one server or a cluster, a key each; and the news of evictions by sharded pub/sub
 * (https://redis.io/docs/latest/develop/pubsub/#sharded-pubsub), to which every process listens at
 * the one node that serves the channel. A text is evicted first and told of then.
 *
 * Client-side tracking would tell processes what they have read of Redis and nothing else; but what
 * they keep of viewers is in no key, and a connection that is quietly gone tells nothing at all. Here
 * each process asks, over the same way that evictions take, as long as it hears anything.
 *
 * **Fail-over.** Redis acknowledges before its replicas have heard, so a promoted replica may have
 * texts that were evicted. As with feeds, what is kept is valid only in the replication history
 * (`master_replid`) in which it was claimed, and missing in any other. A master that does not know yet
 * that it was replaced takes evictions that its successor knows nothing of: they are done again when
 * there was an election before they were done. It gives texts, too, that were evicted from its
 * successor; whoever listens is not `live` half a second later, and has lost what it made of them.
 *
 * Every operation tries for a bounded time.
 * @throws {RedisUnavailable} from each of them.
 */
export function createRedisCardCache(
  { client, prefix = "card:" }: { client: RedisClient; prefix?: string },
): CardCache {
  const nodes = new RedisNodes(client);
  const histories = new Histories();
  const elections = new Elections(nodes);
  const keyOf = (key: string) => prefix + key;
  /** Braces, so that channels that begin with it are served by one node. */
  const channel = `{${prefix}evicted}`;
  const listenings = new Set<RedisListening>();

  const takeOne = async (key: string): Promise<Taken> => {
    const read = await nodes.on(
      keyOf(key),
      patience.read,
      (node) => histories.reading(node, () => node.get(keyOf(key))),
    );
    if (!read) return undefined;
    const { value, history } = read;
    if (value?.slice(1, headLength) === history) {
      return value.startsWith("T") ? { text: value.slice(headLength) } : undefined;
    }
    const token = crypto.randomUUID();
    const won = await nodes.run(
      claimScript,
      keyOf(key),
      patience.read,
      token,
      claimSeconds * 1000,
    );
    return won === 1 ? { claim: { key, token } } : undefined;
  };

  const fillOne = ({ claim: { key, token }, text }: { claim: Claim; text: string }) =>
    nodes.run(fillScript, keyOf(key), patience.read, token, lifetime, text);

  return {
    take: (keys) => Promise.all(keys.map(takeOne)),

    async fill(loaded) {
      await Promise.all(loaded.map(fillOne));
    },

    async evict(keys) {
      await elections.during(patience.write, async () => {
        const unlink = { name: "unlink", arguments: [] } as const;
        await nodes.each(keys.map(keyOf), unlink, patience.write, () => {});
        for (let at = 0; at < keys.length; at += messageLength) {
          const message = keys.slice(at, at + messageLength).join(" ");
          const told = await nodes.on(
            channel,
            patience.write,
            (node) => node.spublish(channel, message),
          );
          if (told === undefined) throw new Error("the channel's slot is being moved");
        }
      });
    },

    listen(listener) {
      const listening = new RedisListening(nodes, elections, channel, listener);
      listenings.add(listening);
      return listening;
    },

    check: () => nodes.check(patience.read),

    async close() {
      await Promise.all(Array.from(listenings, (listening) => listening.stop()));
      await closeRedis(client);
    },
  };
}
