import { ensureTopics } from "../../apps/projector/topics.ts";
import { foldersIn } from "../../infra/config/folders.ts";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import { openSqliteIdentity } from "../../infra/identity/sqlite.ts";
import { type Synthetic, writeSynthetic } from "../bench/million.ts";

const script = new URL("../events.ts", import.meta.url).pathname;

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly told: string;
}

/** `deno task events …` on an embedded folder, as a process of its own; standard input may be text. */
export async function events(
  dataDir: string,
  args: readonly string[],
  options: { input?: string; env?: Record<string, string> } = {},
): Promise<Ended> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, ...args],
    env: { NO_COLOR: "1", KAFKA_BROKERS: "", DATA_DIR: dataDir, ...options.env },
    stdin: options.input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const feeding = options.input !== undefined &&
    // It may end before it has read everything.
    new Blob([options.input]).stream().pipeTo(child.stdin).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  await feeding;
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), told: decoder.decode(stderr) };
}

/** Opens the stores of an embedded folder, as a process that runs on it does. */
export async function openStores(dataDir: string) {
  const { logFile, identityFile } = foldersIn(dataDir);
  const log = await openSqliteLog({ path: logFile });
  const identity = await openSqliteIdentity({ path: identityFile });
  await ensureTopics(log);
  return {
    log,
    identity,
    async [Symbol.asyncDispose]() {
      await log.close();
      await identity.closeStore();
    },
  };
}

/** An embedded folder that holds a synthetic log. */
export async function fillSynthetic(dataDir: string, synthetic: Synthetic): Promise<void> {
  await using stores = await openStores(dataDir);
  await writeSynthetic(stores.log, { ...synthetic, identity: stores.identity });
}

/** Runs `work` with so many empty folders, which are gone afterwards. */
export async function withFolders(
  count: number,
  work: (...folders: string[]) => Promise<void>,
): Promise<void> {
  const folders = await Promise.all(
    Array.from({ length: count }, () => Deno.makeTempDir({ prefix: "shutterlog-events-" })),
  );
  try {
    await work(...folders);
  } finally {
    for (const folder of folders) await Deno.remove(folder, { recursive: true });
  }
}

/** All files below a folder, by their path in it. */
export async function filesIn(folder: string, below = ""): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for await (const { name, isDirectory } of Deno.readDir(`${folder}/${below}`)) {
    const path = `${below}${name}`;
    if (isDirectory) { for (const file of await filesIn(folder, `${path}/`)) files.set(...file); }
    else files.set(path, await Deno.readFile(`${folder}/${path}`));
  }
  return files;
}
