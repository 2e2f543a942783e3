import assert from "node:assert/strict";
import { join } from "node:path";
import { projectRoot } from "./architecture/graph.ts";
import { missingFor } from "./stack/available.ts";
import { freePorts } from "./stack/ports.ts";

const only = ["--only", "redis-single,s3"];

/** The command, on servers that start quickly, with its data in a temporary folder. */
function stack(folder: string, ...args: string[]) {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", join(projectRoot, "scripts/stack.ts"), ...args, "--data", folder],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function said(folder: string, ...args: string[]) {
  const { code, stdout, stderr } = await stack(folder, ...args).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

interface Status {
  readonly servers: readonly { name: string; pid: number | null; state: string }[];
  readonly env: Record<string, string>;
}

async function statusOf(folder: string): Promise<Status> {
  const { code, stdout, stderr } = await said(folder, "status", "--json", ...only);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await said(folder, "down");
    await Deno.remove(folder, { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

const missing = await missingFor(["redis-single", "s3"]);
if (missing.length > 0) {
  const names = missing.map(({ name }) => name).join(", ");
  console.log(`left out: deno task stack, since there is no ${names} (deno task stack install)`);
} else {
  Deno.test("stack: up, status, down: what it says is so, and nothing is left", async () => {
    await withFolder(async (folder) => {
      const up = await said(folder, "up", "--free-ports", ...only);
      assert.equal(up.code, 0, up.stderr);
      assert.match(up.stdout, /redis-single +ready after/);

      const { servers, env } = await statusOf(folder);
      assert.deepEqual(servers.map(({ name, state }) => `${name} ${state}`), [
        "redis-single ready",
        "s3 ready",
      ]);
      assert.match(env.REDIS_URL ?? "", /^redis:\/\/127\.0\.0\.1:\d+$/);
      assert.equal(Uint8Array.fromBase64(env.SERVER_SECRETS ?? "").length, 32);
      const variants = await fetch(`${env.S3_ENDPOINT}/${env.S3_BUCKET}/variants/none`);
      await variants.body?.cancel();
      assert.equal(variants.status, 404, "the bucket is there, and its variants are for anyone");

      const again = await said(folder, "up", ...only);
      assert.equal(again.code, 0, again.stderr);
      assert.deepEqual(await statusOf(folder), { ...await statusOf(folder), servers, env });

      assert.match((await said(folder, "logs", "redis-single")).stdout, /Ready to accept/);
      const down = await said(folder, "down", "--purge");
      assert.equal(down.code, 0, down.stderr);
      for (const { pid } of servers) assert.throws(() => Deno.statSync(`/proc/${pid}/exe`));
      assert.throws(() => Deno.statSync(folder), Deno.errors.NotFound);
    });
  });

  Deno.test("stack: up that was killed half-way is finished by the next", async () => {
    await withFolder(async (folder) => {
      const first = stack(folder, "up", "--free-ports", ...only).spawn();
      const reader = first.stdout.getReader();
      await reader.read();
      first.kill("SIGKILL");
      await Promise.all([reader.cancel(), first.stderr.cancel(), first.status]);

      const { code, stderr } = await said(folder, "up", ...only);
      assert.equal(code, 0, stderr);
      const { servers } = await statusOf(folder);
      for (const { name, state } of servers) assert.equal(state, "ready", name);
    });
  });

  Deno.test("stack: a port that another program has is named, and nothing is started", async () => {
    await withFolder(async (folder) => {
      await said(folder, "up", "--free-ports", ...only);
      await said(folder, "down");
      const path = join(folder, "servers", "stack.json");
      const layout = JSON.parse(await Deno.readTextFile(path));
      const port = freePorts(1)[0] ?? 0;
      using _listener = Deno.listen({ hostname: "127.0.0.1", port });
      layout.ports.s3 = port;
      await Deno.writeTextFile(path, JSON.stringify(layout));
      const { code, stderr } = await said(folder, "up", ...only);
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${port} \\(for s3\\)`));
      assert((await statusOf(folder)).servers.every(({ state }) => state === "stopped"));
    });
  });
}

Deno.test("stack: what it does not know it refuses, saying what there is", async () => {
  const folder = await Deno.makeTempDir();
  const kind = await said(folder, "up", "--only", "mysql");
  assert.equal(kind.code, 1);
  assert.match(kind.stderr, /mysql is none of kafka, postgres/);
  const command = await said(folder, "start");
  assert.equal(command.code, 1);
  assert.match(command.stderr, /there is no start/);
  assert.match((await said(folder, "--help")).stdout, /deno task stack up/);
  await Deno.remove(folder, { recursive: true });
});
