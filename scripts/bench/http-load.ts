/**
 * Sends GETs or POSTs as fast as a server answers them, in a process of its own, so that the server
 * has its thread to itself. A bench starts it by `load`; run as a program it takes an `Order` on
 * standard input and prints an `Outcome`.
 *
 * Each connection has one request under way. Requests are bytes made beforehand, and of an answer
 * nothing is read but its status and length, so that the load costs less than what it measures.
 */
export interface Order {
  readonly hostname: string;
  readonly port: number;
  /** Sent in turns, each connection beginning with another. */
  readonly requests: readonly string[];
  readonly connections: number;
  readonly seconds: number;
}

export interface Outcome {
  readonly answers: number;
  readonly seconds: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

export interface Request {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** As HTTP/1.1 sends it. */
export function requestText({ method = "GET", path, headers = {}, body }: Request): string {
  const length = body === undefined ? {} : {
    "Content-Type": "application/json",
    "Content-Length": String(new TextEncoder().encode(body).length),
  };
  const lines = Object.entries({ Host: "bench", ...headers, ...length })
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body ?? ""}`;
}

/** Runs a load in a process of its own. */
export async function load(order: Order): Promise<Outcome> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-net", import.meta.filename ?? ""],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(order)));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("the load ended early");
  return JSON.parse(new TextDecoder().decode(stdout));
}

async function run(order: Order): Promise<Outcome> {
  const requests = order.requests.map((text) => new TextEncoder().encode(text));
  const ends = performance.now() + order.seconds * 1000;
  const began = performance.now();
  const latencies: number[] = [];
  const connection = async (nth: number) => {
    using socket = await Deno.connect({ hostname: order.hostname, port: order.port });
    socket.setNoDelay(true);
    const answers = new Answers(socket);
    for (let at = nth; performance.now() < ends; at++) {
      const sent = performance.now();
      await write(socket, requests[at % requests.length] ?? new Uint8Array());
      await answers.next();
      latencies.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: order.connections }, (_, nth) => connection(nth)));
  const seconds = (performance.now() - began) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(share * latencies.length)] ?? NaN;
  return { answers: latencies.length, seconds, p50: at(0.5), p99: at(0.99) };
}

async function write(socket: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}

/** The answers on one connection, of which there is one at a time. */
class Answers {
  readonly #socket: Deno.TcpConn;
  readonly #buffer = new Uint8Array(256 * 1024);

  constructor(socket: Deno.TcpConn) {
    this.#socket = socket;
  }

  /** Reads one to its end. @throws for any status but 200 and 201. */
  async next(): Promise<void> {
    let have = 0;
    let needed = Infinity;
    while (have < needed) {
      const count = await this.#socket.read(
        needed === Infinity ? this.#buffer.subarray(have) : this.#buffer,
      );
      if (count === null) throw new Error("the server hung up");
      have += count;
      if (needed === Infinity) needed = lengthOf(this.#buffer.subarray(0, have));
    }
  }
}

const headEnd = new Uint8Array([13, 10, 13, 10]);
const decoder = new TextDecoder("latin1");

/** Bytes of head and body; infinite while the head is not there whole. */
function lengthOf(bytes: Uint8Array): number {
  // A head of ours has its end within the first two kilobytes.
  const text = decoder.decode(bytes.subarray(0, 2048));
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return Infinity;
  const status = text.slice(9, 12);
  if (status !== "200" && status !== "201") throw new Error(text);
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1];
  if (length === undefined) throw new Error(`an answer without a length:\n${text}`);
  return end + headEnd.length + Number(length);
}

if (import.meta.main) {
  console.log(JSON.stringify(await run(await new Response(Deno.stdin.readable).json())));
}
