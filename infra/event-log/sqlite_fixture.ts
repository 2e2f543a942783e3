import { play } from "./contract_roles.ts";
import { openSqliteLog } from "./sqlite.ts";

const [path = "", ...args] = Deno.args;
await play(await openSqliteLog({ path }), args);
