const encoder = new TextEncoder();

/** Trouble that a person can mend; told without a stack trace. */
export class Refused extends Error {
  override readonly name = "Refused";
}

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
 * A bar that is drawn over itself on a terminal, and elsewhere a line at every tenth of the way.
 * Writes to standard error, so that standard output stays for results.
 */
export class Progress {
  readonly #began = performance.now();
  #done = 0;
  #note = "";
  #tenths = 0;

  constructor(
    readonly label: string,
    readonly total: number,
    readonly terminal: boolean = Deno.stderr.isTerminal(),
    readonly write: (text: string) => void = (text) => {
      Deno.stderr.writeSync(encoder.encode(text));
    },
  ) {
    this.#draw();
  }

  get done(): number {
    return this.#done;
  }

  step(by = 1): void {
    this.#done += by;
    this.#draw();
  }

  /** Said behind the bar until the next step: why it stands still. */
  note(text: string): void {
    this.#note = text;
    this.#draw();
    this.#note = "";
  }

  finish(): void {
    if (this.terminal) this.write("\n");
  }

  #draw(): void {
    const share = this.total === 0 ? 1 : this.#done / this.total;
    const count = `${this.#done}/${this.total}`;
    if (!this.terminal) {
      const tenths = Math.floor(share * 10);
      if (tenths > this.#tenths || this.#note) {
        this.write(`${this.label} ${count} ${this.#note}`.trimEnd() + "\n");
      }
      this.#tenths = tenths;
      return;
    }
    const width = 28;
    const filled = Math.round(share * width);
    const bar = "█".repeat(filled) + "░".repeat(width - filled);
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(0);
    const line = `${this.label.padEnd(10)} ${bar} ${count} ${seconds} s ${this.#note}`;
    this.write(`\r\x1b[K${line.trimEnd()}`);
  }
}

/** Columns as wide as their widest cell, two spaces apart; numbers are set to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, String(cell).length);
    });
  }
  return rows.map((row) =>
    row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return typeof cell === "number" ? String(cell).padStart(width) : cell.padEnd(width);
    }).join("  ").trimEnd()
  ).join("\n");
}
