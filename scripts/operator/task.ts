import { z } from "zod";
import { InvalidConfiguration } from "../../infra/config/config.ts";
import type { Step, Told } from "../../apps/operator/operation.ts";
import { Progress, told } from "../client/terminal.ts";
import { Cancelled, openOperator, type Operator, Refused } from "./operator.ts";

/**
 * An operator's task from its start to its end: `--help`, engines, Ctrl-C, exit code. `run` resolves
 * to the exit code: 0 when all is right, 1 when something is found wrong. It ends with 2 when it could
 * not be told, and 130 when it was called off with Ctrl-C, as shells do.
 */
export async function runTask({ help, run }: {
  readonly help: string;
  /** `open` is called once the arguments have been understood. */
  readonly run: (open: () => Promise<Operator>, told: Told) => Promise<number>;
}): Promise<never> {
  if (Deno.args.includes("--help")) {
    console.log(help);
    Deno.exit(0);
  }
  const calledOff = new AbortController();
  const onInterrupt = () => calledOff.abort(new Cancelled("called off"));
  Deno.addSignalListener("SIGINT", onInterrupt);
  const bars = new Bars(Deno.args.includes("--json"));
  let operator: Operator | undefined;
  const open = async () => {
    operator = await openOperator();
    if (!Deno.args.includes("--json")) console.error(operator.note);
    return operator;
  };
  let code: number;
  try {
    code = await run(open, { signal: calledOff.signal, onStep: (step) => bars.show(step) });
    bars.finish();
  } catch (error) {
    bars.finish();
    if (error instanceof Cancelled) console.error("Called off.");
    else console.error(told(error, [InvalidConfiguration]));
    code = error instanceof Cancelled ? 130 : 2;
  }
  await operator?.close();
  Deno.exit(code);
}

/** The id itself, or that of the open account with this handle. */
export async function accountOf(operator: Operator, name: string): Promise<string> {
  if (isId(name)) return name.toLowerCase();
  const id = await operator.ask("accounts.find", { handle: name.replace(/^@/, "") });
  if (id === null) throw new Refused(`nobody open has the handle ${name}`);
  return id;
}

export function isId(text: string): boolean {
  return z.uuid().safeParse(text).success;
}

/** One bar for each thing that is done, one after the other; nothing for programs. */
class Bars {
  #bar: Progress | undefined;

  constructor(readonly silent: boolean) {}

  show({ what, done, of, note }: Step): void {
    if (this.silent) return;
    if (this.#bar?.label !== what || this.#bar.total !== of) {
      this.finish();
      this.#bar = new Progress(what, of);
    }
    this.#bar.to(done, note);
  }

  finish(): void {
    this.#bar?.finish();
    this.#bar = undefined;
  }
}
