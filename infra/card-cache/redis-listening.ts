import type { Redis } from "ioredis";
import type { Elections } from "../redis/elections.ts";
import type { RedisNodes } from "../redis/nodes.ts";
import { hearingSeconds, type Listener, type Listening } from "./port.ts";

/** Milliseconds between two questions whether all has been heard. */
const beat = 500;
/** Milliseconds within which they must be answered, when someone waits for it. */
const patience = 500;
/** Milliseconds before it tries again to hear anything. */
const pause = 100;

/** A connection that hears, from its subscription to its end. */
interface Ear {
  readonly connection: Redis;
  /** In which all masters were before it was opened: see `Elections`. */
  readonly epoch: string;
  /** All that was told up to then, by `performance.now()`, has been heard. */
  heardUpTo: number;
}

/**
 * Hears evictions on a connection to the master that serves the channel. What one connection is sent
 * comes in the order in which the node took it, so whoever asks the node something on that connection,
 * and has the answer, has heard whatever was told there before.
 *
 * It asks every half second whether the node is a master, and all masters whether there has been an
 * election (see `Elections`): since then evictions may be told elsewhere, and what was read may have
 * come from a master that had a successor. After one, or without an answer, or when the connection
 * ends, what it missed is not known: all is lost, and it begins again once all masters agree.
 */
export class RedisListening implements Listening {
  readonly #nodes: RedisNodes;
  readonly #elections: Elections;
  readonly #channel: string;
  readonly #listener: Listener;
  readonly #running: Promise<void>;
  #ear: Ear | undefined;
  #stopped = false;
  #wake: () => void = () => {};

  constructor(nodes: RedisNodes, elections: Elections, channel: string, listener: Listener) {
    this.#nodes = nodes;
    this.#elections = elections;
    this.#channel = channel;
    this.#listener = listener;
    this.#running = this.#run();
  }

  get live(): boolean {
    const ear = this.#ear;
    return ear !== undefined && performance.now() - ear.heardUpTo < hearingSeconds * 1000;
  }

  async caughtUp(): Promise<void> {
    if (this.#ear) await this.#catchUp(this.#ear, patience);
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
    const epoch = await this.#elections.agreed(patience);
    // Asked for the channel as for a key, a node that does not serve it says who does.
    const node = await this.#nodes.on(
      this.#channel,
      patience,
      async (node) => (await node.exists(this.#channel), node),
    );
    if (!node || this.#stopped) return undefined;
    const connection = node.duplicate({
      lazyConnect: true,
      retryStrategy: null,
      autoResubscribe: false,
    });
    connection.on("error", () => {}); // Its end says the same.
    connection.on("smessage", (_channel: string, message: string) => {
      this.#listener.evicted(message.split(" "));
    });
    try {
      await connection.connect();
      await connection.ssubscribe(this.#channel);
      return { connection, epoch, heardUpTo: -Infinity };
    } catch (error) {
      connection.disconnect();
      throw error;
    }
  }

  /** Until it does not hear any more. */
  async #hear(ear: Ear): Promise<void> {
    ear.connection.once("close", () => this.#lose(ear));
    // The node does not serve the channel any more: its slot was moved, or it is a replica now.
    ear.connection.once("moved", () => this.#lose(ear));
    this.#ear = ear;
    while (this.#ear === ear && !this.#stopped && ear.connection.status === "ready") {
      await this.#catchUp(ear, hearingSeconds * 1000);
      await this.#rest(beat);
    }
    this.#lose(ear);
  }

  /** Has heard all that was told before this call within so many milliseconds, or loses the ear. */
  async #catchUp(ear: Ear, within: number): Promise<void> {
    const asked = performance.now();
    const timer = setTimeout(() => this.#lose(ear), within);
    const answers = await Promise.all([
      ear.connection.role().then(([role]) => role === "master").catch(() => false),
      this.#elections.holds(ear.epoch, patience).catch(() => false),
    ]);
    clearTimeout(timer);
    if (answers.every((yes) => yes)) ear.heardUpTo = Math.max(ear.heardUpTo, asked);
    else this.#lose(ear);
  }

  #lose(ear: Ear): void {
    if (this.#ear === ear) {
      this.#ear = undefined;
      this.#listener.lost();
      this.#wake();
    }
    ear.connection.disconnect();
  }

  async #rest(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => (clearTimeout(timer), resolve());
    });
    this.#wake = () => {};
  }
}
