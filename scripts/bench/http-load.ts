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
  /** Begun in a second, evenly; what falls behind is made up for. As fast as can be when left out. */
  readonly perSecond?: number;
  /** Until it is told to end when left out. */
  readonly seconds?: number;
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

/**
 * Runs a load in a process of its own, until its seconds are over or the signal aborts.
 * @throws when a request is not answered, or by anything but success.
 */
export async function load(order: Order, signal?: AbortSignal): Promise<Outcome> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-net", import.meta.filename ?? ""],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(order)));
  await writer.close();
  const end = () => child.kill("SIGTERM");
  signal?.addEventListener("abort", end, { once: true });
  const { success, stdout } = await child.output()
    .finally(() => signal?.removeEventListener("abort", end));
  if (!success) throw new Error("the load ended early");
  return JSON.parse(new TextDecoder().decode(stdout));
}

async function run(order: Order): Promise<Outcome> {
  const requests = order.requests.map((text) => new TextEncoder().encode(text));
  const { hostname, port, connections, perSecond = Infinity, seconds: given = Infinity } = order;
  const began = performance.now();
  let ends = began + given * 1000;
  Deno.addSignalListener("SIGTERM", () => ends = 0);
  const latencies: number[] = [];
  const connection = async (nth: number) => {
    let answers: Answers | undefined;
    for (let turn = 0; performance.now() < ends; turn++) {
      const due = began + (turn * connections + nth) * 1000 / perSecond;
      const early = due - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      const sent = performance.now();
      answers ??= await Answers.connect(hostname, port);
      const last = await answers.to(requests[(nth + turn) % requests.length] ?? new Uint8Array());
      latencies.push(performance.now() - sent);
      if (!last) continue;
      answers.close();
      answers = undefined;
    }
    answers?.close();
  };
  await Promise.all(Array.from({ length: connections }, (_, nth) => connection(nth)));
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

  private constructor(socket: Deno.TcpConn) {
    this.#socket = socket;
  }

  static async connect(hostname: string, port: number): Promise<Answers> {
    const socket = await Deno.connect({ hostname, port });
    socket.setNoDelay(true);
    return new Answers(socket);
  }

  /** Reads the answer to its end: whether the server says it is the connection's last. @throws for a failure. */
  async to(request: Uint8Array): Promise<boolean> {
    await write(this.#socket, request);
    let have = 0;
    let head: Head | undefined;
    while (have < (head?.length ?? Infinity)) {
      const count = await this.#socket.read(head ? this.#buffer : this.#buffer.subarray(have));
      if (count === null) throw new Error("the server hung up");
      have += count;
      head ??= headOf(this.#buffer.subarray(0, have));
    }
    return head?.last ?? false;
  }

  close(): void {
    this.#socket.close();
  }
}

interface Head {
  /** Of the whole answer, in bytes. */
  readonly length: number;
  readonly last: boolean;
}

const headEnd = "\r\n\r\n";
const decoder = new TextDecoder("latin1");

/** Undefined while it is not there whole. */
function headOf(bytes: Uint8Array): Head | undefined {
  // A head of ours has its end within the first two kilobytes.
  const text = decoder.decode(bytes.subarray(0, 2048));
  const end = text.indexOf(headEnd);
  if (end < 0) return undefined;
  const head = text.slice(0, end);
  if (!/^HTTP\/1.1 2/.test(head)) throw new Error(text);
  const length = head.startsWith("HTTP/1.1 204")
    ? "0"
    : /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without a length:\n${text}`);
  const last = /\r\nconnection: close/i.test(head);
  return { length: end + headEnd.length + Number(length), last };
}

if (import.meta.main) {
  console.log(JSON.stringify(await run(await new Response(Deno.stdin.readable).json())));
}
