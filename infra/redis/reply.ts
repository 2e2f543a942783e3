/** What one reply holds: the items of an array, or the one of a bulk string, where they lie. */
export interface Reply {
  readonly bytes: Uint8Array;
  /** Of each item, its first byte and the one behind its last. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** The server's own words, of a reply that is an error. */
export class ErrorReply extends Error {
  override readonly name = "ErrorReply";
}

/**
 * Finds the replies in what a connection receives: RESP2's bulk strings, arrays of them, and errors
 * (https://redis.io/docs/latest/develop/reference/protocol-spec). Nothing is copied but what comes in
 * pieces; a reply is good until `take` returns.
 */
export class Replies {
  readonly #take: (reply: Reply | ErrorReply) => void;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(take: (reply: Reply | ErrorReply) => void) {
    this.#take = take;
  }

  /** @throws {SyntaxError} for what is no reply of these kinds. */
  receive(chunk: Uint8Array): void {
    const begun = this.#bytes.subarray(this.#at);
    this.#bytes = begun.length === 0 ? chunk : concatenated(begun, chunk);
    this.#at = 0;
    for (;;) {
      const from = this.#at;
      const reply = this.#next();
      if (!reply) {
        // `chunk` is the caller's own, to be written to again.
        this.#bytes = this.#bytes.slice(from);
        this.#at = 0;
        return;
      }
      this.#take(reply);
    }
  }

  /** Undefined until the rest of it is there. */
  #next(): Reply | ErrorReply | undefined {
    const bytes = this.#bytes;
    const kind = bytes[this.#at];
    if (kind === undefined) return undefined;
    if (kind === minus || kind === plus) {
      const end = bytes.indexOf(carriageReturn, this.#at);
      if (end < 0 || end + 1 >= bytes.length) return undefined;
      const [starts, ends] = [[this.#at + 1], [end]];
      this.#at = end + 2;
      if (kind === plus) return { bytes, starts, ends };
      return new ErrorReply(new TextDecoder().decode(bytes.subarray(starts[0], end)));
    }
    let count = 1;
    if (kind === asterisk) {
      count = this.#number();
      if (Number.isNaN(count)) return undefined;
    }
    const starts: number[] = [];
    const ends: number[] = [];
    for (let item = 0; item < count; item++) {
      if (this.#at >= bytes.length) return undefined;
      if (bytes[this.#at] !== dollar) throw new SyntaxError("this is no reply to what was asked");
      const length = this.#number();
      if (Number.isNaN(length) || this.#at + length + 2 > bytes.length) return undefined;
      starts.push(this.#at);
      ends.push(this.#at + length);
      this.#at += length + 2;
    }
    return { bytes, starts, ends };
  }

  /** Behind a byte that says what it counts; NaN until its end is there. */
  #number(): number {
    const bytes = this.#bytes;
    let value = 0;
    for (let at = this.#at + 1; at + 1 < bytes.length; at++) {
      const byte = bytes[at] ?? 0;
      if (byte === carriageReturn) {
        this.#at = at + 2;
        return value;
      }
      if (byte < zero || byte > nine) throw new SyntaxError("a reply's length is not a number");
      value = 10 * value + byte - zero;
    }
    return NaN;
  }
}

const carriageReturn = 0x0d;
const plus = 0x2b;
const minus = 0x2d;
const asterisk = 0x2a;
const dollar = 0x24;
const zero = 0x30;
const nine = 0x39;

function concatenated(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
