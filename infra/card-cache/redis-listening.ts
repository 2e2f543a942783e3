import type { Redis } from "ioredis";
import type { RedisNodes } from "../redis/nodes.ts";
import { hearingSeconds, type Listener, type Listening } from "./port.ts";

/** Milliseconds between two words that a process says to itself. */
const beat = 500;
/** Milliseconds within which it must hear one, when someone waits for it. */
const patience = 500;
/** Milliseconds before it tries again to hear anything. */
const pause = 100;

/** A connection that hears, from its subscription to its end. */
interface Ear {
  readonly connection: Redis;
  /** What was said first, and not heard yet, and by whom it is waited for. */
  readonly said: Map<string, { readonly at: number; readonly heard: () => void }>;
  /** All that was said up to then, by `performance.now()`, has been heard. */
  heardUpTo: number;
}

/**
 * Hears evictions on a connection to the node that serves the channel. Messages of one connection
 * come in the order in which the node took them, so whoever hears a word of their own, said to the
 * same node on a channel of theirs, has heard whatever was told before.
 *
 * It says one every half second. When it has not heard one for `hearingSeconds`, or the connection
 * ends, what it missed is not known: all is lost, and it begins again.
 */
export class RedisListening implements Listening {
  readonly #nodes: RedisNodes;
  readonly #evictions: string;
  readonly #own: string;
  readonly #listener: Listener;
  readonly #running: Promise<void>;
  #ear: Ear | undefined;
  #stopped = false;
  #wake: () => void = () => {};

  constructor(nodes: RedisNodes, channel: string, listener: Listener) {
    this.#nodes = nodes;
    this.#evictions = channel;
    this.#own = `${channel}:${crypto.randomUUID()}`;
    this.#listener = listener;
    this.#running = this.#run();
  }

  get live(): boolean {
    const ear = this.#ear;
    return ear !== undefined && performance.now() - ear.heardUpTo < hearingSeconds * 1000;
  }

  async caughtUp(): Promise<void> {
    const ear = this.#ear;
    if (!ear) return;
    const timer = setTimeout(() => this.#lose(ear), patience);
    try {
      await this.#say(ear);
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#ear) this.#lose(this.#ear);
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const ear = await this.#open().catch(() => undefined);
      if (ear) await this.#hear(ear);
      if (!this.#stopped) await this.#rest(pause);
    }
  }

  /** Subscribed, and not heard anything yet. */
  async #open(): Promise<Ear | undefined> {
    const node = await this.#nodes.on(this.#evictions, patience, (node) => Promise.resolve(node));
    if (!node || this.#stopped) return undefined;
    const connection = node.duplicate({
      lazyConnect: true,
      retryStrategy: null,
      autoResubscribe: false,
    });
    const ear: Ear = { connection, said: new Map(), heardUpTo: -Infinity };
    connection.on("error", () => {}); // Its end says the same.
    connection.on("smessage", (channel: string, message: string) => {
      if (channel === this.#evictions) this.#listener.evicted(message.split(" "));
      else this.#heard(ear, message);
    });
    try {
      await connection.connect();
      await connection.ssubscribe(this.#evictions, this.#own);
      return ear;
    } catch (error) {
      connection.disconnect();
      throw error;
    }
  }

  /** Until it does not hear any more. */
  async #hear(ear: Ear): Promise<void> {
    ear.connection.once("close", () => this.#lose(ear));
    this.#ear = ear;
    const opened = performance.now();
    while (this.#ear === ear && !this.#stopped && ear.connection.status === "ready") {
      void this.#say(ear);
      await this.#rest(beat);
      const since = Math.max(ear.heardUpTo, opened);
      if (performance.now() - since > hearingSeconds * 1000) break;
    }
    this.#lose(ear);
  }

  /** Says a word to itself; resolves when it has heard it, or will not. */
  #say(ear: Ear): Promise<void> {
    const word = crypto.randomUUID();
    return new Promise((heard) => {
      ear.said.set(word, { at: performance.now(), heard });
      this.#nodes.on(this.#own, patience, (node) => node.spublish(this.#own, word))
        .catch(() => this.#lose(ear));
    });
  }

  #heard(ear: Ear, word: string): void {
    const said = ear.said.get(word);
    if (!said) return;
    ear.said.delete(word);
    ear.heardUpTo = Math.max(ear.heardUpTo, said.at);
    said.heard();
  }

  #lose(ear: Ear): void {
    if (this.#ear === ear) {
      this.#ear = undefined;
      this.#listener.lost();
      this.#wake();
    }
    ear.connection.disconnect();
    for (const { heard } of ear.said.values()) heard();
    ear.said.clear();
  }

  async #rest(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => (clearTimeout(timer), resolve());
    });
    this.#wake = () => {};
  }
}
