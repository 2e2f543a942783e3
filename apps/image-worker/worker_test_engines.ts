import type { EventLog } from "../../infra/event-log/port.ts";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import { openLocalStore } from "../../infra/object-store/local.ts";
import type { ObjectStore } from "../../infra/object-store/port.ts";

/** The embedded log and store in one folder, which several processes may open at once. */
export async function openEngines(folder: string): Promise<{ log: EventLog; store: ObjectStore }> {
  const log = await openSqliteLog({ path: `${folder}/log.sqlite`, sessionTimeout: 1_000 });
  const store = await openLocalStore({
    folder: `${folder}/store`,
    bucket: "media",
    endpoint: "http://127.0.0.1:1/store",
    region: "us-east-1",
    accessKeyId: "test",
    secretAccessKey: "test-secret",
  });
  return { log, store };
}
