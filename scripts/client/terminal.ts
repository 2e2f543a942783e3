const encoder = new TextEncoder();

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

  step(): void {
    this.#done++;
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
