/**
 * A process for `sqlite_test.ts` to kill: registers accounts, four at a time, and relays their outbox
 * rows to a file that stands for the log. Says on standard output what it is about to do and what it
 * was told is done. Arguments: the store, the file of deliveries, a prefix for handles.
 */
import { newId } from "../event-log/ids.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { startOutboxRelay } from "./outbox.ts";
import { openSqliteIdentity } from "./sqlite.ts";

export type Said =
  | { readonly said: "registering"; readonly accountId: string; readonly handle: string }
  | { readonly said: "registered"; readonly accountId: string }
  | { readonly said: "reserved"; readonly key: string; readonly ids: readonly string[] };

const [path = "", deliveries = "", prefix = ""] = Deno.args;
const identity = await openSqliteIdentity({ path });
const log = await Deno.open(deliveries, { append: true, create: true });
const encoder = new TextEncoder();

const relay = startOutboxRelay({
  identity,
  logger: silentLogger,
  log: {
    append(records) {
      for (const { key } of records) log.writeSync(encoder.encode(`${key}\n`));
      return Promise.resolve(
        records.map(({ topic }) => ({ topic, partition: 0, offset: 0 })),
      );
    },
    watermarks: ([topic = ""]) => Promise.resolve([{ topic, partition: 0, low: 0, high: 1 }]),
  },
});

let next = 0;
await Promise.all(Array.from({ length: 4 }, registerForEver));

async function registerForEver(): Promise<void> {
  for (;;) {
    const handle = `${prefix}${next++}`;
    const [accountId, eventId] = [newId(), newId()];
    const caused = { topic: "accounts", key: accountId, eventId };
    say({ said: "registering", accountId, handle });
    const outcome = await identity.register({
      accountId,
      handle,
      passwordHash: "hash",
      record: () =>
        Promise.resolve({
          topic: "accounts",
          key: accountId,
          value: "{}",
          headers: { ce_id: eventId },
        }),
    });
    if (outcome === "registered") {
      say({ said: "registered", accountId });
      if (Math.random() < 0.5) await relay.deliver(caused);
    }
    const request = { scope: "client", key: accountId, bodyHash: "body", now: new Date() };
    const reservation = await identity.reserve({ ...request, ids: [eventId] });
    if (reservation.outcome === "reserved") {
      say({ said: "reserved", key: accountId, ids: reservation.ids });
    }
  }
}

function say(said: Said): void {
  Deno.stdout.writeSync(encoder.encode(JSON.stringify(said) + "\n"));
}
