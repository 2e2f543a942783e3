import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { Passing } from "./nodes.ts";
import { RawConnection } from "./raw-connection.ts";

const patience = 200;

/** A server that does this with every connection. */
async function serving(
  what: (socket: Deno.Conn) => Promise<void> | void,
  work: (address: { host: string; port: number }) => Promise<void>,
): Promise<void> {
  const server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = (async () => {
    for await (const socket of server) await what(socket);
  })();
  try {
    await work({ host: "127.0.0.1", port: (server.addr as Deno.NetAddr).port });
  } finally {
    server.close();
    await accepting;
  }
}

Deno.test("RawConnection: what waits is told of the end, and so is who comes after it", () =>
  serving(
    (socket) => socket.close(),
    async (address) => {
      const connection = await RawConnection.open(address, patience);
      await assert.rejects(connection.ask(["PING"]), Passing);
      let told = 0;
      connection.on("close", () => told++);
      assert.equal(told, 1);
      await assert.rejects(connection.ask(["PING"]), Passing);
      await connection.close();
    },
  ));

Deno.test("RawConnection: what is no answer of Redis ends it", () =>
  serving(
    async (socket) => {
      using _ = socket;
      await socket.read(new Uint8Array(100));
      await socket.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
    },
    async (address) => {
      const connection = await RawConnection.open(address, patience);
      await assert.rejects(connection.ask(["PING"]), Passing);
      await connection.close();
    },
  ));

Deno.test("RawConnection: a sign-in that is not answered in time is none", () =>
  serving(
    async (socket) => {
      using _ = socket;
      while (await socket.read(new Uint8Array(100)).catch(() => null) !== null) {
        /* and says nothing */
      }
    },
    (address) =>
      assert.rejects(RawConnection.open({ ...address, password: "x" }, patience), Passing),
  ));

Deno.test("RawConnection: a TLS handshake that is not answered in time is none", () =>
  serving(
    async (socket) => {
      using _ = socket;
      await socket.read(new Uint8Array(1_000));
      // A socket closed in its handshake stays open until its other end is closed (Deno 2.9.6).
      await delay(2 * patience);
    },
    async (address) => {
      const began = performance.now();
      await assert.rejects(RawConnection.open({ ...address, tls: {} }, patience));
      assert.ok(performance.now() - began < 2 * patience);
    },
  ));
