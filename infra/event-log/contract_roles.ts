import type { EventLog, LogRecord } from "./port.ts";

/** What another process tells the contract's tests, one JSON line each. */
export type Told =
  | { readonly told: "appended"; readonly partition: number; readonly offset: number }
  | { readonly told: "handled"; readonly values: readonly string[] }
  | { readonly told: "hanging" };

/**
 * Plays another process of the log: each adapter has a `…_fixture.ts` that opens the log and calls this
 * with the arguments it was given.
 *
 * - `append TOPIC NAME COUNT`: appends so many records, several at once, telling each that is acknowledged.
 * - `hang TOPIC GROUP BATCHES`: handles so many batches and never comes back from the one after them.
 */
export async function play(log: EventLog, args: readonly string[]): Promise<void> {
  const [role, topic = "", name = "", count = "0"] = args;
  if (role === "append") await append(log, topic, name, Number(count));
  else if (role === "hang") await hang(log, topic, name, Number(count));
  else throw new Error(`no such role: ${role}`);
}

async function append(log: EventLog, topic: string, name: string, count: number): Promise<void> {
  let next = 0;
  const one = async () => {
    while (next < count) {
      const index = next++;
      const key = `key-${index % 7}`;
      const [appended] = await log.append([{
        topic,
        key,
        value: `${name}:${index}`,
        headers: {},
      }]);
      if (!appended) throw new Error("an append was acknowledged without its place");
      tell({ told: "appended", partition: appended.partition, offset: appended.offset });
    }
  };
  await Promise.all([one(), one(), one()]);
  await log.close();
}

async function hang(log: EventLog, topic: string, group: string, batches: number): Promise<void> {
  let handled = 0;
  await log.consume({
    group,
    topics: [topic],
    maximumBatch: 10,
    handle: async (records: readonly LogRecord[]) => {
      tell({ told: "handled", values: records.map((record) => record.value) });
      if (handled++ < batches) return;
      tell({ told: "hanging" });
      await new Promise<never>(() => {});
    },
  });
}

function tell(told: Told): void {
  console.log(JSON.stringify(told));
}
