import { Command, type Redis } from "ioredis";

/** A command with one key: its name, and what stands behind the key. */
export interface KeyCommand {
  readonly name: "lpushx" | "unlink";
  readonly arguments: readonly Uint8Array[];
}

/**
 * Sends one command to each of many keys, which are ASCII, of one node in one pipeline; resolves to
 * the number or the error that each was answered with, in their order.
 *
 * ioredis makes a command, its promise and its bytes for each member of a pipeline, which costs it
 * more than pushing costs Redis. Here all of them are written at once and stand in its queue as one
 * command that is answered many times; replies come in the order of commands.
 */
export function sendToEach(
  node: Redis,
  { name, arguments: args }: KeyCommand,
  keys: readonly string[],
): Promise<(number | Error)[]> {
  if (keys.length === 0) return Promise.resolve([]);
  return new Promise((resolve) => {
    const answers: (number | Error)[] = [];
    const answer = (one: number | Error) => {
      if (answers.push(one) === keys.length) resolve(answers);
    };
    const command = new Command(name);
    command.resolve = (reply: unknown) => answer(Number(reply));
    command.reject = answer;
    let unwritten = keys.length;
    // Called once for each, at once or when the node is connected.
    const pipeline = {
      isPipeline: true as const,
      destination: { redis: node },
      write: () => {
        if (--unwritten === 0) node.stream.write(encode(name, keys, args));
      },
    };
    for (let n = keys.length; n > 0; n--) node.sendCommand(command, pipeline);
  });
}

/** As RESP arrays of bulk strings (https://redis.io/docs/latest/develop/reference/protocol-spec). */
function encode(name: string, keys: readonly string[], args: readonly Uint8Array[]): Uint8Array {
  const head = `*${2 + args.length}\r\n${bulk(name)}`;
  const tail = args.map((arg) => bulk(arg.reduce((text, byte) => text + chr(byte), ""))).join("");
  return Buffer.from(keys.map((key) => head + bulk(key) + tail).join(""), "latin1");
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

function chr(byte: number): string {
  return String.fromCharCode(byte);
}
