import { Refused } from "../../apps/operator/operation.ts";

export { Refused };

const encoder = new TextEncoder();

/** What a script says of an error before it ends: a sentence where that is enough, else the stack. */
export function told(error: unknown, mendable: readonly (new (...args: never[]) => Error)[]) {
  // parseArgs throws TypeErrors with a code.
  const usage = error instanceof TypeError && "code" in error;
  const known = [Refused, ...mendable].some((kind) => error instanceof kind);
  if (usage || known) return (error as Error).message;
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

/**
 * Standard output as a sink that keeps pace with its reader. Writing resolves to false once nobody
 * reads any more (`| head`): there is nothing left to do then.
 */
export async function writeOut(text: string): Promise<boolean> {
  const bytes = encoder.encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return false;
    throw error;
  }
}

/**
 * A bar that is drawn over itself on a terminal, with the rate and the time that is left once they can
 * be told, and elsewhere a line at every tenth of the way. Without a total it counts. Writes to
 * standard error, so that standard output stays for results.
 */
export class Progress {
  readonly #began = performance.now();
  #drawn = -Infinity;
  #done = 0;
  #note = "";
  #tenths = 0;

  constructor(
    readonly label: string,
    readonly total: number | undefined,
    readonly terminal: boolean = Deno.stderr.isTerminal(),
    readonly write: (text: string) => void = (text) => {
      Deno.stderr.writeSync(encoder.encode(text));
    },
  ) {
    this.#draw(true);
  }

  get done(): number {
    return this.#done;
  }

  step(by = 1): void {
    this.to(this.#done + by);
  }

  to(done: number, note = ""): void {
    this.#done = done;
    this.#note = note;
    this.#draw(note !== "");
    this.#note = "";
  }

  /** Said behind the bar until the next step: why it stands still. */
  note(text: string): void {
    this.to(this.#done, text);
  }

  finish(): void {
    this.#draw(true);
    if (this.terminal) this.write("\n");
  }

  #draw(now: boolean): void {
    if (this.terminal) this.#drawBar(now);
    else this.#writeLine();
  }

  #drawBar(now: boolean): void {
    const at = performance.now();
    const ended = this.#done === this.total;
    if (!now && !ended && at - this.#drawn < redrawMs) return;
    this.#drawn = at;
    const line = [this.label.padEnd(10), this.#share(), this.#speed(), this.#note];
    this.write(`\r\x1b[K${line.filter((part) => part !== "").join(" ")}`);
  }

  #share(): string {
    if (this.total === undefined) return `${this.#done}`;
    const share = this.total === 0 ? 1 : Math.min(1, this.#done / this.total);
    const width = 28;
    const filled = Math.round(share * width);
    return `${"█".repeat(filled)}${"░".repeat(width - filled)} ${this.#done}/${this.total}`;
  }

  #speed(): string {
    const seconds = (performance.now() - this.#began) / 1000;
    const rate = this.#done / seconds;
    const passed = `${seconds.toFixed(0)} s`;
    if (seconds < 1 || rate < 1) return passed;
    const left = this.total === undefined || this.#done >= this.total
      ? ""
      : `, ${((this.total - this.#done) / rate).toFixed(0)} s left`;
    return `${passed}, ${rate.toFixed(0)}/s${left}`;
  }

  #writeLine(): void {
    if (this.total === undefined) {
      if (this.#note) this.write(`${this.label} ${this.#done} ${this.#note}\n`);
      return;
    }
    const share = this.total === 0 ? 1 : this.#done / this.total;
    const tenths = Math.floor(share * 10);
    if (tenths > this.#tenths || this.#note) {
      this.write(`${this.label} ${this.#done}/${this.total} ${this.#note}`.trimEnd() + "\n");
    }
    this.#tenths = tenths;
  }
}

/** Milliseconds between two drawings of a bar. */
const redrawMs = 50;

/** Columns as wide as their widest cell, two spaces apart; numbers and their heads to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, String(cell).length);
    });
  }
  const last = rows.at(-1) ?? [];
  return rows.map((row) =>
    row.map((cell, column) => {
      const width = widths[column] ?? 0;
      const right = typeof cell === "number" || typeof last[column] === "number";
      return right ? String(cell).padStart(width) : cell.padEnd(width);
    }).join("  ").trimEnd()
  ).join("\n");
}
