import { openPglite } from "../../infra/sql/pglite.ts";
import { startServer } from "../end-to-end/server.ts";
import type { Target } from "./target.ts";

/** The whole product in one process, in a temporary folder. */
export async function embedded(): Promise<Target> {
  const dataDir = await Deno.makeTempDir({ prefix: "shutterlog-bench-" });
  // As many requests as the bench makes pass, and are counted.
  const start = () => startServer({ dataDir, env: { RATE_LIMIT_SCALE: "1000" } });
  let server = await start();
  const target: Target = {
    name: "embedded",
    queries: server,
    commands: server,
    async forget() {
      await server.stop();
      server = await start();
      Object.assign(target, { queries: server, commands: server });
    },
    async sql() {
      await server.stop();
      return await openPglite({ folder: `${dataDir}/read-model` });
    },
    async stop() {
      await server.stop();
      await Deno.remove(dataDir, { recursive: true });
    },
  };
  return target;
}
