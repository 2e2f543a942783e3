import assert from "node:assert/strict";
import { freePorts } from "../../scripts/stack/ports.ts";
import { run } from "../../scripts/stack/process.ts";
import { startRedis } from "../../scripts/stack/redis.ts";
import { RawConnection } from "./raw-connection.ts";
import { ask } from "./testing.ts";
import { postId } from "./tls_test_program.ts";

if (Deno.env.get("SHUTTERLOG_TEST_REDIS") === undefined) {
  console.log("SHUTTERLOG_TEST_REDIS is unset: Redis behind TLS is left out");
} else {
  Deno.test("rediss://: feeds are kept and read behind TLS, under a private authority, by nobody who does not trust it", async () => {
    await using cleanup = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir({ prefix: "shutterlog-tls-" });
    cleanup.defer(() => Deno.remove(folder, { recursive: true }));
    const { authority, certificate, key } = await certified(folder);
    const [port = 0] = freePorts(1);
    const settings = {
      "tls-port": String(port),
      "tls-cert-file": certificate,
      "tls-key-file": key,
      "tls-auth-clients": "no",
    };
    const { servers: [server], stop } = await startRedis({ folder, settings });
    cleanup.defer(stop);
    assert(server);
    await ask(server, "CONFIG", "SET", "requirepass", password);

    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        program,
        `rediss://:${password}@localhost:${port}`,
      ],
      env: { DENO_CERT: authority },
      stdout: "piped",
      stderr: "inherit",
    });
    const { success, stdout } = await child.output();
    assert.ok(success);
    // Over both kinds of connections: ioredis' own, and those that lists are read by.
    const expected = { page: { state: "complete", ids: [postId], endsAtFloor: false, pulls: [] } };
    assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), { ...expected, head: 2 });

    // This process has not been told of the authority.
    await assert.rejects(
      RawConnection.open({ host: "localhost", port, tls: {}, password }, 2_000),
      /UnknownIssuer/,
    );
  });
}

const password = "correct-horse";
const program = new URL("tls_test_program.ts", import.meta.url).pathname;

/** An authority, and a certificate for localhost that it has signed. */
async function certified(folder: string) {
  const at = (name: string) => `${folder}/${name}.pem`;
  const make = (name: string, subject: string, ...more: string[]) =>
    run([
      "openssl",
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
      ...["-nodes", "-days", "2", "-subj", `/CN=${subject}`],
      ...["-keyout", at(`${name}-key`), "-out", at(name), ...more],
    ]);
  await make("authority", "Shutterlog's tests");
  await make(
    ...["server", "localhost", "-CA", at("authority"), "-CAkey", at("authority-key")] as const,
    ...["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"],
  );
  // Redis may run as another account.
  for (const name of ["server", "server-key"]) await Deno.chmod(at(name), 0o644);
  await Deno.chmod(folder, 0o755);
  return { authority: at("authority"), certificate: at("server"), key: at("server-key") };
}
