import { join } from "node:path";
import type { Stoppable } from "../stoppable.ts";
import { Cancelled, type OperatorEngines, Refused, type Step, type Told } from "./operation.ts";
import { perform } from "./operations.ts";

/**
 * The embedded engines are one process's alone, and so are its cached feeds. What an operator asks of
 * them is asked of that process: over a socket in its data folder that the folder's owner alone may
 * use. A connection is one operation, in lines of JSON: the request; then steps, as many as there
 * are; then the outcome. The one who asks may send a second line, to call it off.
 */
type Request = { readonly ask: string; readonly input: unknown };
type Reply =
  | { readonly step: Step }
  | { readonly answer: unknown }
  | { readonly refused: string }
  | { readonly cancelled: true }
  | { readonly error: string };

export function operatorSocket(dataDir: string): string {
  return join(dataDir, "operator.sock");
}

export async function listenForOperator(
  dataDir: string,
  engines: OperatorEngines,
): Promise<Stoppable> {
  const { logger } = engines;
  const path = operatorSocket(dataDir);
  // Of a process that was killed: the folder is ours now.
  await Deno.remove(path).catch(() => {});
  let listener: Deno.UnixListener;
  try {
    listener = Deno.listen({ transport: "unix", path });
    await Deno.chmod(path, 0o600);
  } catch (error) {
    logger.warn("operators' tasks cannot reach this process", { path, error });
    return { stop: () => Promise.resolve() };
  }
  const stopping = new AbortController();
  const answering = new Set<Promise<void>>();
  const accepting = (async () => {
    for await (const connection of listener) {
      const one = serve(connection, engines, stopping.signal).catch((error) =>
        logger.warn("an operator was not answered", { error })
      ).finally(() => answering.delete(one));
      answering.add(one);
    }
  })();
  return {
    async stop() {
      listener.close();
      stopping.abort(new Error("the process is stopping"));
      await accepting;
      await Promise.all(answering);
      await Deno.remove(path).catch(() => {});
    },
  };
}

async function serve(
  connection: Deno.UnixConn,
  engines: OperatorEngines,
  stopping: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  const lines = linesOf(connection);
  const reply = writer(connection);
  try {
    const { value: first } = await lines.next();
    if (first === undefined) return;
    const { ask, input }: Request = JSON.parse(first);
    const listening = (async () => {
      const { done } = await lines.next();
      gone.abort(done ? new Error("the operator has gone") : new Cancelled("called off"));
    })();
    listening.catch((error) => gone.abort(error));
    const told: Told = {
      signal: AbortSignal.any([gone.signal, stopping]),
      onStep: (step) => void reply({ step }).catch(() => {}),
    };
    await reply(await outcomeOf(perform(engines, ask, input, told)));
  } finally {
    connection.close();
  }
}

async function outcomeOf(performed: Promise<unknown>): Promise<Reply> {
  try {
    return { answer: await performed ?? null };
  } catch (error) {
    if (error instanceof Cancelled) return { cancelled: true };
    if (error instanceof Refused) return { refused: error.message };
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * Asks the process that has the folder open; undefined when none answers there.
 * @throws {Refused} as the operation does, and {Cancelled} once it has been called off.
 */
export async function askOverSocket(
  dataDir: string,
  ask: string,
  input: unknown,
  { signal, onStep }: Told,
): Promise<{ readonly answer: unknown } | undefined> {
  const connection = await connect(dataDir);
  if (!connection) return undefined;
  const send = writer(connection);
  const cancel = () => void send({ cancel: true }).catch(() => {});
  signal.addEventListener("abort", cancel, { once: true });
  try {
    await send({ ask, input });
    for await (const line of linesOf(connection)) {
      const reply: Reply = JSON.parse(line);
      if ("step" in reply) onStep(reply.step);
      else if ("answer" in reply) return reply;
      else if ("refused" in reply) throw new Refused(reply.refused);
      else if ("cancelled" in reply) throw new Cancelled("called off");
      else throw new Error(reply.error);
    }
    throw new Refused("the process that has the data folder open has ended; ask again");
  } finally {
    signal.removeEventListener("abort", cancel);
    connection.close();
  }
}

/** Whether a process answers there. */
export async function listens(dataDir: string): Promise<boolean> {
  const connection = await connect(dataDir);
  connection?.close();
  return connection !== undefined;
}

async function connect(dataDir: string): Promise<Deno.UnixConn | undefined> {
  try {
    return await Deno.connect({ transport: "unix", path: operatorSocket(dataDir) });
  } catch (error) {
    const nobody = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.ConnectionRefused;
    if (nobody) return undefined;
    throw error;
  }
}

async function* linesOf(connection: Deno.UnixConn): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65_536);
  let text = "";
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) return undefined;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    yield* lines;
  }
}

/** Lines in the order of the calls, each whole. */
function writer(connection: Deno.UnixConn): (value: unknown) => Promise<void> {
  let before: Promise<void> = Promise.resolve();
  return (value) => {
    const bytes = new TextEncoder().encode(`${JSON.stringify(value)}\n`);
    return before = before.then(async () => {
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    });
  };
}
