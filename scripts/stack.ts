import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { projectRoot } from "./architecture/graph.ts";
import { aptLine, type Kind, kinds, missingFor, missingPackages } from "./stack/available.ts";
import { fetchKafka, fetchVersitygw } from "./stack/downloads.ts";
import {
  keptLayout,
  type Layout,
  type Part,
  partsOf,
  readLayout,
  takenAddresses,
} from "./stack/layout.ts";
import { type Server, ServerFailed, which } from "./stack/process.ts";

const help =
  `Runs the servers of the stack on this machine, as local processes; for Linux. Elsewhere,
or with Docker at hand, use compose.yaml, which has the same servers.

  deno task stack up         starts what does not run yet, and returns when all of it answers
  deno task stack down       ends it; data stay until --purge
  deno task stack status     what runs where, and the environment for the product's processes
  deno task stack logs       the end of each server's log: logs kafka-1 --follow
  deno task stack install    brings what is missing: Debian packages, Kafka, versitygw

  --only kafka,postgres   these kinds alone: ${kinds.join(", ")}
                          (redis-single runs only when it is named)
  --free-ports            draws ports instead of the usual ones; kept until --purge
  --data <folder>         where servers keep their data, .stack when left out
  --json                  status for programs: servers and env
  --purge                 with down: leaves no file behind either
  --follow                with logs: goes on as they grow
  --for-tests             with install: what the tests need besides: kcat, Chromium, Prometheus
  --help                  shows this

Kafka 9092 9094 9096, PostgreSQL 5442 and its replica 5443, Redis Cluster 7001 to 7006, single Redis
6380, S3 9000, gateway 8080, CDN 8081.`;

/** What a person can mend; told without a stack trace. */
class Refused extends Error {
  override readonly name = "Refused";
}

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    only: { type: "string" },
    "free-ports": { type: "boolean", default: false },
    data: { type: "string", default: join(projectRoot, ".stack") },
    json: { type: "boolean", default: false },
    purge: { type: "boolean", default: false },
    follow: { type: "boolean", default: false },
    "for-tests": { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const folder = join(resolve(values.data), "servers");

async function main(): Promise<void> {
  const [command, ...names] = positionals;
  if (values.help || command === undefined) return console.log(help);
  if (Deno.build.os !== "linux") {
    throw new Refused("local servers are for Linux; use docker compose --profile cluster up");
  }
  const commands: Record<string, () => Promise<void>> = {
    up,
    down,
    status,
    logs: () => logs(names),
    install,
  };
  const run = commands[command];
  if (!run) throw new Refused(`there is no ${command}: see deno task stack --help`);
  await run();
}

async function up(): Promise<void> {
  const wanted = wantedKinds() ?? kinds.filter((kind) => kind !== "redis-single");
  const missing = await missingFor(wanted);
  if (missing.length > 0) {
    const lines = missing.map(({ name, install }) => `  ${name.padEnd(18)} ${install}`);
    throw new Refused(`missing here:\n${lines.join("\n")}\nAll at once: deno task stack install`);
  }
  await alone(async () => {
    const layout = await keptLayout(folder, values["free-ports"]);
    const parts = await partsOf(folder, layout, wanted);
    const taken = takenAddresses(parts);
    if (taken.length > 0) {
      throw new Refused(
        `another program listens at ${taken.join(", ")}.\nEnd it, or draw other ports: ` +
          "deno task stack down --purge, then deno task stack up --free-ports",
      );
    }
    const begun = performance.now();
    const seconds = () => `${((performance.now() - begun) / 1000).toFixed(1)} s`;
    const results = await Promise.allSettled(parts.map(async (part) => {
      const addresses = part.servers.map(({ address }) => address).join(" ");
      console.log(`${part.kind.padEnd(14)} starting`);
      await part.start();
      console.log(`${part.kind.padEnd(14)} ready after ${seconds()} at ${addresses}`);
    }));
    const failures = results.filter((result) => result.status === "rejected");
    for (const { reason } of failures) console.error(messageOf(reason));
    if (failures.length > 0) {
      throw new Refused("mend that and run it again, or end the rest: deno task stack down");
    }
    console.log(`\nAll of it is ready after ${seconds()}. The environment: deno task stack status`);
  });
}

async function down(): Promise<void> {
  await alone(async () => {
    const layout = await readLayout(folder);
    if (layout) {
      const servers = (await presentParts(layout)).flatMap((part) => part.servers);
      const running = servers.filter((server) => server.pid() !== undefined);
      await Promise.all(running.map(async (server) => {
        await server.stop();
        console.log(`${server.name.padEnd(18)} stopped`);
      }));
      if (running.length === 0) console.log("nothing runs");
    } else console.log("nothing runs");
  });
  // What was fetched goes too: it can be fetched again.
  if (values.purge && values.only === undefined) await removeStack();
}

/** Nothing but what a stack has made, in whatever folder it was told to live. */
async function removeStack(): Promise<void> {
  const made = ["servers", "lock"];
  if (resolve(values.data) === join(projectRoot, ".stack")) {
    for await (const { name } of Deno.readDir(values.data)) {
      if (name === "bin" || name.startsWith("kafka-")) made.push(name);
    }
  }
  for (const name of made) {
    await Deno.remove(join(values.data, name), { recursive: true }).catch(ignoreMissing);
  }
  // It goes as well if nothing else lies in it.
  await Deno.remove(values.data).catch(() => {});
}

async function status(): Promise<void> {
  const layout = await readLayout(folder);
  const parts = layout ? await presentParts(layout) : [];
  const servers = await Promise.all(
    parts.flatMap((part) =>
      part.servers.map(async (server) => ({
        name: server.name,
        kind: part.kind,
        address: server.address,
        pid: server.pid() ?? null,
        state: await stateOf(server),
      }))
    ),
  );
  // Of what runs alone: a process must not be sent to a server that is not there.
  const up = new Set(servers.filter(({ state }) => state === "ready").map(({ kind }) => kind));
  const env: Record<string, string> = {
    ...Object.assign({}, ...parts.filter(({ kind }) => up.has(kind)).map((part) => part.env)),
    ...(layout && up.size > 0 && { SERVER_SECRETS: layout.serverSecret }),
  };
  // The product takes one or the other; the single node is for tests.
  if (up.has("redis")) delete env.REDIS_URL;
  if (values.json) {
    return console.log(JSON.stringify({ servers, env, ports: layout?.ports }, null, 2));
  }
  if (servers.length === 0) return console.log("no stack here: deno task stack up");
  for (const { name, address, pid, state } of servers) {
    console.log(`${name.padEnd(18)} ${address.padEnd(18)} ${state.padEnd(8)} ${pid ?? ""}`);
  }
  console.log("");
  for (const [name, value] of Object.entries(env)) console.log(`export ${name}='${value}'`);
}

async function stateOf(server: Server): Promise<"ready" | "starting" | "stopped"> {
  if (server.pid() === undefined) return "stopped";
  return await server.spec.ready().then(() => "ready" as const, () => "starting" as const);
}

async function logs(names: readonly string[]): Promise<void> {
  const layout = await readLayout(folder);
  const servers = layout ? (await presentParts(layout)).flatMap((part) => part.servers) : [];
  const chosen = servers.filter(({ name }) => names.length === 0 || names.includes(name));
  const unknown = names.filter((name) => !servers.some((server) => server.name === name));
  if (unknown.length > 0) throw new Refused(`no server is called ${unknown.join(", ")}`);
  const files: string[] = [];
  for (const { log } of chosen) {
    if (await Deno.stat(log).then(() => true, () => false)) files.push(log);
  }
  if (files.length === 0) return console.log("no logs here: deno task stack up");
  await new Deno.Command("tail", {
    args: ["-n", "20", ...(values.follow ? ["-F"] : []), ...files],
    stdin: "null",
  }).spawn().status;
}

async function install(): Promise<void> {
  const wanted = wantedKinds() ?? kinds;
  const packages = await missingPackages([
    ...wanted,
    ...(values["for-tests"] ? ["tests", "monitoring"] as const : []),
  ]);
  if (packages.length > 0) {
    const line = aptLine(packages);
    if (Deno.uid() !== 0) {
      throw new Refused(
        `first, as an administrator:\n  ${line}\nthen again: deno task stack install`,
      );
    }
    for (const command of ["apt-get update --quiet", line.replace(/^sudo /, "")]) {
      console.log(command);
      const [program = "", ...args] = command.split(" ");
      const { success } = await new Deno.Command(program, { args, stdin: "null" }).spawn().status;
      if (!success) throw new Refused(`failed: ${command}`);
    }
  }
  if (wanted.includes("kafka")) {
    console.log("fetching Kafka through Maven");
    await fetchKafka();
  }
  if (wanted.includes("s3")) {
    if (await which("go") === undefined && (await missingFor(["s3"])).length > 0) {
      throw new Refused(
        "versitygw is built by Go, 1.25 or newer (Debian 12's own is too old): https://go.dev/dl",
      );
    }
    console.log("building versitygw");
    await fetchVersitygw();
  }
  console.log("all of it is here: deno task stack up");
}

/** The parts whose programs are on this machine: what is not here cannot run either. */
async function presentParts(layout: Layout): Promise<Part[]> {
  const parts: Part[] = [];
  for (const kind of wantedKinds() ?? kinds) {
    if ((await missingFor([kind])).length > 0) continue;
    parts.push(...await partsOf(folder, layout, [kind]));
  }
  return parts;
}

function wantedKinds(): Kind[] | undefined {
  if (values.only === undefined) return undefined;
  return values.only.split(",").map((name) => {
    const kind = kinds.find((kind) => kind === name.trim());
    if (!kind) throw new Refused(`${name} is none of ${kinds.join(", ")}`);
    return kind;
  });
}

/** One command at a time changes a stack; a lock of a killed one is gone with it. */
async function alone(work: () => Promise<void>): Promise<void> {
  await Deno.mkdir(values.data, { recursive: true });
  using lock = await Deno.open(join(values.data, "lock"), { write: true, create: true });
  if (!await lock.tryLock(true)) throw new Refused("another deno task stack is at work here");
  await work();
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

function messageOf(error: unknown): string {
  if (error instanceof ServerFailed || error instanceof Refused) return error.message;
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

try {
  await main();
} catch (error) {
  console.error(messageOf(error));
  Deno.exit(1);
}
