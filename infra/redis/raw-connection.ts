import type { RedisOptions } from "ioredis";
import { Passing } from "./nodes.ts";
import { Replies, type Reply } from "./reply.ts";

/** Where a node is, and how to sign in there. */
export type NodeAddress = Pick<
  RedisOptions,
  "host" | "port" | "tls" | "username" | "password" | "db"
>;

/** Is handed a reply while its bytes are there, or what became of it instead. Must not throw. */
export type Taker = (reply: Reply | Error) => void;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * A connection to one node on which commands are written as they are given and replies are handed out
 * where they lie, in their order. Once it is closed, by either side, it stays so, and whatever waits
 * for a reply is told.
 */
export class RawConnection {
  readonly #socket: Deno.Conn;
  readonly #replies = new Replies((reply) => this.#waiting[this.#answered++]?.(reply));
  readonly #onClose: (() => void)[] = [];
  readonly #ended: Promise<void>;
  #waiting: Taker[] = [];
  #answered = 0;
  #lost: Passing | undefined;
  #unwritten = "";
  #writing = false;

  private constructor(socket: Deno.Conn) {
    this.#socket = socket;
    this.#ended = this.#read();
  }

  /** @throws when it is not connected, by TLS where asked for, and signed in within so many milliseconds. */
  static async open(address: NodeAddress, patience: number): Promise<RawConnection> {
    const { host: hostname = "127.0.0.1", port = 6379, tls, username, password, db } = address;
    const signal = AbortSignal.timeout(patience);
    const tcp = await Deno.connect({ hostname, port, signal });
    tcp.setNoDelay(true);
    const socket = tls ? await Deno.startTls(tcp, { hostname }) : tcp;
    const timer = setTimeout(() => closeQuietly(socket), patience);
    let connection: RawConnection | undefined;
    try {
      if ("handshake" in socket) await socket.handshake();
      connection = new RawConnection(socket);
      if (password) await connection.ask(["AUTH", ...username ? [username] : [], password]);
      if (db) await connection.ask(["SELECT", String(db)]);
      return connection;
    } catch (error) {
      closeQuietly(socket);
      await connection?.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Commands in ASCII, written together; each has its reply taken. */
  send(commands: readonly { readonly words: readonly string[]; readonly taker: Taker }[]): void {
    for (const { words, taker } of commands) {
      if (this.#lost) {
        taker(this.#lost);
        continue;
      }
      this.#waiting.push(taker);
      this.#unwritten += encoded(words);
    }
    if (!this.#writing && !this.#lost) void this.#write();
  }

  /** Resolves to the one text in the reply. */
  ask(words: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const taker = (reply: Reply | Error) =>
        reply instanceof Error
          ? reject(reply)
          : resolve(decoder.decode(reply.bytes.subarray(reply.starts[0], reply.ends[0])));
      this.send([{ words, taker }]);
    });
  }

  info(section: "replication"): Promise<string> {
    return this.ask(["INFO", section]);
  }

  on(_event: "close", listener: () => void): void {
    if (this.#lost) listener();
    else this.#onClose.push(listener);
  }

  /** Resolves once it is closed and nothing waits any more. */
  async close(): Promise<void> {
    closeQuietly(this.#socket);
    await this.#ended;
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const count = await this.#socket.read(buffer);
        if (count === null) break;
        this.#replies.receive(buffer.subarray(0, count));
        if (this.#answered < this.#waiting.length) continue;
        this.#waiting = [];
        this.#answered = 0;
      }
    } catch { /* Closed by this side, lost, or not understood: nothing can come any more. */ }
    closeQuietly(this.#socket);
    const lost = this.#lost = new Passing("the connection was lost");
    for (const listener of this.#onClose) listener();
    for (const taker of this.#waiting.splice(0).slice(this.#answered)) taker(lost);
  }

  async #write(): Promise<void> {
    this.#writing = true;
    try {
      while (this.#unwritten !== "") {
        const bytes = encoder.encode(this.#unwritten);
        this.#unwritten = "";
        for (let at = 0; at < bytes.length;) {
          at += await this.#socket.write(bytes.subarray(at));
        }
      }
    } catch {
      await this.close();
    }
    this.#writing = false;
  }
}

function closeQuietly(socket: Deno.Conn): void {
  try {
    socket.close();
  } catch { /* It was already. */ }
}

/** As a RESP array of bulk strings. */
function encoded(words: readonly string[]): string {
  let text = `*${words.length}\r\n`;
  for (const word of words) text += `$${word.length}\r\n${word}\r\n`;
  return text;
}
