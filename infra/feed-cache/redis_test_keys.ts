import type { Redis } from "ioredis";
import { claimSeconds } from "./port.ts";
import type { RedisClient } from "../redis/client.ts";

/** The keys of one test, under a prefix of their own. */
export class Keys {
  readonly prefix = `test-${crypto.randomUUID()}:`;
  readonly #client: RedisClient;

  constructor(client: RedisClient) {
    this.#client = client;
  }

  /** Makes every claim expire now, as it would later: by the expiry of its key. */
  async lapse(): Promise<void> {
    await this.#each(async (node, key) => {
      const left = await node.pttl(key);
      if (left > 0 && left <= claimSeconds * 1000) await node.pexpire(key, 0);
    });
  }

  async remove(): Promise<void> {
    await this.#each((node, key) => node.unlink(key));
  }

  async #each(act: (node: Redis, key: string) => Promise<unknown>): Promise<void> {
    // Any command brings up the connection, and with it the map of nodes.
    await this.#client.exists(this.prefix);
    const nodes = "nodes" in this.#client ? this.#client.nodes("master") : [this.#client];
    for (const node of nodes) {
      for await (const keys of node.scanStream({ match: `${this.prefix}*`, count: 1000 })) {
        for (const key of keys) await act(node, key);
      }
    }
  }
}
