import { type Kind, missingFor } from "../../../scripts/stack/available.ts";
import { type RunningCdn, startCdn } from "../../../scripts/stack/nginx.ts";
import { freePorts } from "../../../scripts/stack/ports.ts";
import { type RunningS3, startS3 } from "../../../scripts/stack/s3.ts";
import type { ObjectStore } from "../../object-store/port.ts";
import { openS3Store } from "../../object-store/s3.ts";

/** Registers tests where all of these servers can run, and says so where they cannot. */
export async function wherePresent(
  suite: string,
  servers: readonly Kind[],
  register: () => void,
): Promise<void> {
  const missing = await missingFor(servers);
  if (missing.length === 0) return register();
  const names = missing.map(({ name }) => name).join(", ");
  console.log(`left out: ${suite}, since there is no ${names} (deno task stack install)`);
}

/** A CDN edge before a real store, with a counter of what it fetches in between. */
export interface EdgeUnderTest extends AsyncDisposable {
  readonly store: ObjectStore;
  readonly s3: RunningS3;
  readonly cdn: RunningCdn;
  /** Requests that reached the store since the last call. */
  fetched(): number;
  /** Answers of the store to what is asked from now on are held back, as they are, until this ends. */
  holdBack(until: Promise<void>): void;
}

export async function edgeUnderTest(): Promise<EdgeUnderTest> {
  const folder = await Deno.makeTempDir();
  // Servers that refuse root run as accounts of their own.
  await Deno.chmod(folder, 0o755);
  const cleanup = new AsyncDisposableStack();
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  try {
    const s3 = await startS3({ folder });
    cleanup.defer(() => s3.stop());
    const { bucket, endpoint, region, ...credentials } = s3.store;
    const store = openS3Store({ bucket, endpoint, region, credentials, forcePathStyle: true });
    cleanup.defer(() => store.close());

    let count = 0;
    let hold = Promise.resolve();
    const counter = Deno.serve(
      { hostname: "127.0.0.1", port: freePorts(1)[0] ?? 0, onListen() {} },
      async (request) => {
        count++;
        const held = hold;
        const { pathname, search } = new URL(request.url);
        try {
          const { headers } = request;
          const answer = await fetch(`${endpoint}${pathname}${search}`, { headers });
          const body = await answer.bytes();
          await held;
          return new Response(body, { status: answer.status, headers: answer.headers });
        } catch {
          return new Response(null, { status: 502 });
        }
      },
    );
    cleanup.defer(() => counter.shutdown());
    const cdn = await startCdn({ folder, store: `127.0.0.1:${counter.addr.port}`, bucket });
    cleanup.defer(() => cdn.stop());
    return {
      store,
      s3,
      cdn,
      fetched() {
        const fetched = count;
        count = 0;
        return fetched;
      },
      holdBack(until) {
        hold = until;
      },
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}
