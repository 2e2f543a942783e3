import { z } from "zod";
import { dlqOperations } from "./dlq.ts";
import { feedOperations } from "./feeds.ts";
import { projectionOperations } from "./projections.ts";
import { logOperations } from "./log.ts";
import { mediaOperations } from "./media.ts";
import { type Operation, type OperatorEngines, Refused, type Told } from "./operation.ts";

/** All that may be asked, by name. */
export const operations = {
  ...dlqOperations,
  ...feedOperations,
  ...projectionOperations,
  ...logOperations,
  ...mediaOperations,
};

export type Operations = typeof operations;
export type Name = keyof Operations;
export type Input<N extends Name> = Parameters<Operations[N]["run"]>[1];
export type Output<N extends Name> = Awaited<ReturnType<Operations[N]["run"]>>;

/** @throws {Refused} for a name or an input that is not known, and what the operation throws. */
export async function perform(
  engines: OperatorEngines,
  name: string,
  input: unknown,
  told: Told,
): Promise<unknown> {
  if (!Object.hasOwn(operations, name)) {
    throw new Refused(`there is no operation ${name}: the processes run different releases`);
  }
  const operation = operations[name as Name] as Operation<unknown, unknown>;
  const parsed = operation.input.safeParse(input);
  if (!parsed.success) throw new Refused(`${name}: ${z.prettifyError(parsed.error)}`);
  return await operation.run(engines, parsed.data, told);
}
