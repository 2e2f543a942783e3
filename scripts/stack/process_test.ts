import assert from "node:assert/strict";
import { join } from "node:path";
import { freePorts, isFree } from "./ports.ts";
import { run, Server, ServerFailed, type ServerSpec } from "./process.ts";

const answering = `Deno.serve({ port: Number(Deno.args[0]), hostname: "127.0.0.1" }, () =>
  new Response(String(Deno.pid)));`;

/** A web server that answers its own pid. */
async function specIn(folder: string, port = freePorts(1)[0] ?? 0): Promise<ServerSpec> {
  const program = join(folder, "server.ts");
  await Deno.writeTextFile(program, answering);
  return {
    name: "answering",
    address: `127.0.0.1:${port}`,
    folder: join(folder, "answering"),
    command: [Deno.execPath(), "run", "--no-config", "--allow-net", program, String(port)],
    env: { DENO_DIR: join(folder, "deno") },
    lifetime: "of its starter",
    async ready() {
      await answerOf(port);
    },
  };
}

async function answerOf(port: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}`, { signal: AbortSignal.timeout(1_000) });
  return await answer.text();
}

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("Server: starts once, is found again, stops, and frees its port", async () => {
  await withFolder(async (folder) => {
    const spec = await specIn(folder);
    const server = new Server(spec);
    assert.equal(server.pid(), undefined);
    await server.start();
    const pid = server.pid();
    const port = Number(spec.address.split(":")[1]);
    assert.equal(await answerOf(port), String(pid));
    await server.start();
    assert.equal(server.pid(), pid, "a second start changes nothing");

    const found = new Server(spec);
    assert.equal(found.pid(), pid, "another holder of the same spec sees it");
    await found.stop();
    assert.equal(server.pid(), undefined);
    assert(isFree(port));
    await server.stop();
  });
});

Deno.test("Server: frozen it does not answer, thawed it does, killed it can be started again", async () => {
  await withFolder(async (folder) => {
    const server = new Server(await specIn(folder));
    await server.start();
    const before = server.pid();
    server.freeze();
    await assert.rejects(server.spec.ready(), { name: "TimeoutError" });
    server.thaw();
    await server.spec.ready();
    server.freeze();
    await server.kill();
    assert.equal(server.pid(), undefined);
    await server.start();
    assert.notEqual(server.pid(), before);
    await server.stop();
    assert.throws(() => server.freeze(), ServerFailed);
  });
});

Deno.test("Server: a pid that has come to another program is not taken for it", async () => {
  await withFolder(async (folder) => {
    const spec = await specIn(folder);
    const server = new Server(spec);
    await Deno.mkdir(spec.folder);
    await Deno.writeTextFile(join(spec.folder, "pid"), `${Deno.pid} 1`);
    assert.equal(server.pid(), undefined);
    await server.stop();
    await server.start();
    assert.notEqual(server.pid(), Deno.pid);
    await server.kill();
  });
});

Deno.test("Server: one that ends before it is ready is told with the end of its log", async () => {
  await withFolder(async (folder) => {
    const spec = await specIn(folder);
    const server = new Server({ ...spec, command: ["/bin/sh", "-c", "echo no such disk; exit 3"] });
    await assert.rejects(
      server.start(),
      (error) =>
        error instanceof ServerFailed && /has ended/.test(error.message) &&
        /no such disk/.test(error.message),
    );
    await server.stop();
  });
});

Deno.test("Server: it ends with a starter that is killed, or outlives it, as it was told", async () => {
  for (const lifetime of ["of its starter", "until stopped"] as const) {
    await withFolder(async (folder) => {
      const { ready: _, ...data } = { ...await specIn(folder), lifetime };
      const starter = join(folder, "starter.ts");
      await Deno.writeTextFile(
        starter,
        `import { Server } from ${JSON.stringify(new URL("process.ts", import.meta.url).href)};
        const spec = ${JSON.stringify(data)};
        const ready = async () => { await (await fetch("http://" + spec.address)).text(); };
        await new Server({ ...spec, ready }).start();
        Deno.kill(Deno.pid, "SIGKILL");`,
      );
      await assert.rejects(run([Deno.execPath(), "run", "-A", "--no-config", starter]));
      const server = new Server(await specIn(folder, Number(data.address.split(":")[1])));
      if (lifetime === "until stopped") assert.notEqual(server.pid(), undefined);
      else {
        const deadline = Date.now() + 5_000;
        while (server.pid() !== undefined) {
          assert(Date.now() < deadline, "the kernel ends it");
          await run(["/bin/true"]);
        }
      }
      await server.stop();
    });
  }
});
