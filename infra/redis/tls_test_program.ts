import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import { createRedisFeedCache } from "../feed-cache/redis.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { closeRedis, openRedis } from "./client.ts";
import { ListReader } from "./list-reader.ts";
import { RedisNodes } from "./nodes.ts";

export const [readerId, postId] = [
  "00000000-0000-7000-8000-000000000001",
  "00000000-0000-7000-8000-00000000000a",
];

/** Fills a feed at a URL and reads it, in a process that trusts the server's authority. */
if (import.meta.main) {
  const [url = ""] = Deno.args;
  const client = openRedis({ url }, silentLogger);
  if (!(client instanceof Redis)) throw new Error("one server has one client");
  if (client.status !== "ready") await new Promise((resolve) => client.once("ready", resolve));
  const lists = new ListReader(new RedisNodes(client), 2_000);
  const feeds = createRedisFeedCache({ client, lists });
  const claim = await feeds.claim(readerId);
  if (claim) await feeds.fill(claim, [postId], true);
  const page = await feeds.read(readerId, { limit: 10 });
  const look = () => lists.head(`feed:${readerId}`, 10, ({ starts }) => starts.length);
  let head = await look();
  // The first to ask do not wait for a connection.
  for (let tries = 0; !head && tries < 50; tries++) {
    await delay(100);
    head = await look();
  }
  console.log(JSON.stringify({ page, head: head?.value }));
  await lists.close();
  await closeRedis(client);
}
