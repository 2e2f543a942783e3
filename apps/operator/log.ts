import { z } from "zod";
import { checkLog } from "./log-check/check.ts";
import { operation } from "./operation.ts";

/** What `deno task log` asks. */
export const logOperations = {
  "log.check": operation({
    input: z.object({}),
    run: (engines, _, told) => checkLog(engines, told),
  }),
};
