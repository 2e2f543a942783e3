import calculateSlot from "cluster-key-slot";
import { Redis, ReplyError } from "ioredis";
import { type KeyCommand, sendToEach } from "./send-to-each.ts";
import type { RedisClient } from "./client.ts";
import type { Script } from "./script.ts";

/**
 * Redis did not do it: it refused, or it, or the connection to it, was away for all the time there
 * was. What was sent may yet be done.
 */
export class RedisUnavailable extends Error {
  override readonly name = "RedisUnavailable";
}

/** Another attempt, or another node, may do better. */
export class Passing extends Error {
  override readonly name = "Passing";
}

/** An argument of a script. */
export type Word = string | number | Uint8Array;

/** Commands in one pipeline, and so in flight to one node, at most. */
const pipelineLength = 1_000;
/** Milliseconds. */
const firstPause = 10;
const longestPause = 200;

/**
 * Sends commands to the masters that serve their keys, of a cluster or of one server, and knows which
 * node has answered. What fails because a node or a connection went away, or because the key is
 * another node's now, is sent again until time is up; so it must be idempotent.
 *
 * A key in a slot that is just being moved (`ASK`) counts as missing, since a feed does not outlive
 * its node: nothing is sent after it.
 */
export class RedisNodes {
  readonly #client: RedisClient;

  constructor(client: RedisClient) {
    this.#client = client;
  }

  get inCluster(): boolean {
    return !(this.#client instanceof Redis);
  }

  /**
   * Runs `attempt` on the node that serves the key; undefined when the key's slot is being moved.
   * @throws {RedisUnavailable} after `patience` milliseconds.
   */
  async on<T>(
    key: string,
    patience: number,
    attempt: (node: Redis) => Promise<T>,
  ): Promise<T | undefined> {
    return await this.#untilDone(patience, async (deadline) => {
      const node = this.#nodes().get(this.#nameOf(key));
      if (!node) throw noNode(key);
      try {
        return await within(deadline, attempt(node));
      } catch (error) {
        // Nothing to try again.
        if (isMoving(error)) return undefined;
        throw error;
      }
    });
  }

  /** Runs a script on one key; undefined when the key's slot is being moved. */
  run(script: Script, key: string, patience: number, ...args: readonly Word[]): Promise<unknown> {
    return this.on(key, patience, (node) => evaluate(node, script, key, ...args));
  }

  /** Sends one command to each of many keys, pipelined by node, and hands on each answer. */
  async each(
    keys: readonly string[],
    command: KeyCommand,
    patience: number,
    answered: (key: string, answer: number) => void,
  ): Promise<void> {
    let pending = keys;
    await this.#untilDone(patience, async (deadline) => {
      const nodes = this.#nodes();
      const failed: { key: string; error: unknown }[] = [];
      const send = async ([name, keys]: [string, readonly string[]]) => {
        const node = nodes.get(name);
        for (let at = 0; at < keys.length; at += pipelineLength) {
          const chunk = keys.slice(at, at + pipelineLength);
          const sent = node ? sendToEach(node, command, chunk) : Promise.reject(noNode(name));
          const answers = await within(deadline, sent).catch((error) => chunk.map(() => error));
          for (const [index, key] of chunk.entries()) {
            const answer: number | Error = answers[index];
            if (typeof answer === "number") answered(key, answer);
            else if (!isMoving(answer)) failed.push({ key, error: answer });
          }
        }
      };
      await Promise.all([...Map.groupBy(pending, (key) => this.#nameOf(key))].map(send));
      const [worst] = failed.filter(({ error }) => !passes(error)).concat(failed);
      pending = failed.map(({ key }) => key);
      if (worst) throw worst.error;
    });
  }

  /**
   * Runs `attempt` on all masters that serve any keys, one or more.
   * @throws {RedisUnavailable} after `patience` milliseconds.
   */
  async onMasters<T>(
    patience: number,
    attempt: (masters: readonly Redis[]) => Promise<T>,
  ): Promise<T> {
    return await this.#untilDone(patience, (deadline) => {
      const nodes = [...this.#nodes().values()];
      if (nodes.length === 0) throw noNode("any key");
      return within(deadline, attempt(nodes));
    });
  }

  /** @throws {RedisUnavailable} unless every master answers. */
  async check(patience: number): Promise<void> {
    await this.onMasters(patience, (nodes) => Promise.all(nodes.map((node) => node.ping())));
  }

  /** The node that serves the key, as far as is known. */
  serving(key: string): Redis | undefined {
    return this.#nodes().get(this.#nameOf(key));
  }

  /** The masters by their name in the map of slots. */
  #nodes(): Map<string, Redis> {
    if (this.#client instanceof Redis) return new Map([["", this.#client]]);
    const masters = this.#client.nodes("master");
    return new Map(masters.map((node) => [`${node.options.host}:${node.options.port}`, node]));
  }

  #nameOf(key: string): string {
    if (this.#client instanceof Redis) return "";
    return this.#client.slots[calculateSlot(key)]?.[0] ?? "no node";
  }

  async #untilDone<T>(
    patience: number,
    attempt: (deadline: number) => Promise<T>,
  ): Promise<T> {
    const deadline = Date.now() + patience;
    for (let pause = firstPause;; pause = Math.min(2 * pause, longestPause)) {
      try {
        return await attempt(deadline);
      } catch (error) {
        if (passes(error)) this.#refresh();
        if (!passes(error) || Date.now() + pause >= deadline) {
          throw new RedisUnavailable(`Redis: ${messageOf(error)}`, { cause: error });
        }
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Learns again who serves which slot, behind what is going on: for the next attempt, whosever it is. */
  #refresh(): void {
    if (!(this.#client instanceof Redis)) this.#client.refreshSlotsCache();
  }
}

function noNode(key: string): Passing {
  return new Passing(`no node is known that serves ${key}`);
}

/** Answers of a server that another time, or another node, may have another answer to. */
const passing = /^(MOVED|CLUSTERDOWN|TRYAGAIN|LOADING|MASTERDOWN|READONLY|BUSY|NOREPLICAS) /;

/** Whatever is not a server's answer says that a connection went away, or was too slow. */
function passes(error: unknown): boolean {
  return !(error instanceof ReplyError) || passing.test(messageOf(error));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Sends the script's text to a server that does not know it yet. */
export async function evaluate(
  node: Redis,
  script: Script,
  key: string,
  ...args: readonly Word[]
): Promise<unknown> {
  const words = args.map((arg) => arg instanceof Uint8Array ? asBuffer(arg) : arg);
  try {
    return await node.callBuffer("EVALSHA", [script.sha, 1, key, ...words]);
  } catch (error) {
    if (!/^NOSCRIPT/.test(messageOf(error))) throw error;
    return await node.callBuffer("EVAL", [script.source, 1, key, ...words]);
  }
}

function isMoving(error: unknown): boolean {
  return /^ASK /.test(messageOf(error));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

async function within<T>(deadline: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const left = Math.max(0, deadline - Date.now());
    timer = setTimeout(() => reject(new Passing("no answer in time")), left);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
