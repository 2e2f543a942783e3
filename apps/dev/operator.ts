import { join } from "node:path";
import type { Logger } from "../../infra/telemetry/logger.ts";
import { explainFeed, type Inspected } from "../../projections/feeds/explain.ts";
import { accountIdByHandle } from "../../projections/read-model/reads/accounts.ts";
import { verifyFeeds } from "../../projections/feeds/verify.ts";
import type { Stoppable } from "../stoppable.ts";

/**
 * What an operator may ask of feeds. On the embedded engines, which one process alone can open and
 * whose cached feeds are that process's memory, it is asked of that process.
 */
export type Question =
  | { readonly ask: "explain"; readonly readerId: string; readonly postId: string }
  | { readonly ask: "account"; readonly handle: string }
  | {
    readonly ask: "verify";
    readonly readerIds?: readonly string[];
    readonly repair: boolean;
  };

export async function answer(question: Question, inspected: Inspected): Promise<unknown> {
  switch (question.ask) {
    case "explain":
      return await explainFeed(inspected, question.readerId, question.postId);
    case "verify":
      return await verifyFeeds(inspected, question);
    case "account":
      return await accountIdByHandle(inspected.sql, question.handle) ?? null;
  }
}

/** Where the process that has a data folder open listens: a socket that its owner alone may use. */
export function operatorSocket(dataDir: string): string {
  return join(dataDir, "operator.sock");
}

/** Answers one question a connection, a line of JSON each way. */
export async function listenForOperator(
  dataDir: string,
  inspected: Inspected,
  logger: Logger,
): Promise<Stoppable> {
  const path = operatorSocket(dataDir);
  // Of a process that was killed: the folder is ours now.
  await Deno.remove(path).catch(() => {});
  let listener: Deno.UnixListener;
  try {
    listener = Deno.listen({ transport: "unix", path });
    await Deno.chmod(path, 0o600);
  } catch (error) {
    logger.warn("deno task feeds cannot reach this process", { path, error });
    return { stop: () => Promise.resolve() };
  }
  const answering = new Set<Promise<void>>();
  const accepting = (async () => {
    for await (const connection of listener) {
      const one = reply(connection, inspected).catch((error) =>
        logger.warn("an operator's question was not answered", { error })
      ).finally(() => answering.delete(one));
      answering.add(one);
    }
  })();
  return {
    async stop() {
      listener.close();
      await accepting;
      await Promise.all(answering);
      await Deno.remove(path).catch(() => {});
    },
  };
}

async function reply(connection: Deno.UnixConn, inspected: Inspected): Promise<void> {
  try {
    const question: Question = JSON.parse(await readLine(connection));
    await writeLine(connection, { answer: await answer(question, inspected) });
  } catch (error) {
    await writeLine(connection, { error: error instanceof Error ? error.message : String(error) });
    throw error;
  } finally {
    connection.close();
  }
}

/** Asks the process that has the folder open; undefined when none answers there. */
export async function askOperator(dataDir: string, question: Question): Promise<
  { readonly answer: unknown } | undefined
> {
  let connection: Deno.UnixConn;
  try {
    connection = await Deno.connect({ transport: "unix", path: operatorSocket(dataDir) });
  } catch (error) {
    const nobody = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.ConnectionRefused;
    if (nobody) return undefined;
    throw error;
  }
  try {
    await writeLine(connection, question);
    const reply: { answer: unknown } | { error: string } = JSON.parse(await readLine(connection));
    if ("error" in reply) throw new Error(reply.error);
    return reply;
  } finally {
    connection.close();
  }
}

async function readLine(connection: Deno.UnixConn): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65_536);
  let text = "";
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) throw new Error("the other side has gone");
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    if (text.endsWith("\n")) return text;
  }
}

async function writeLine(connection: Deno.UnixConn, value: unknown): Promise<void> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(value)}\n`);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}
