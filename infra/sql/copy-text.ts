import type { CopyValue } from "./port.ts";

const escapes: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\t": "\\t",
  "\n": "\\n",
  "\r": "\\r",
};

const special = /[\\\t\n\r]/;
const specials = /[\\\t\n\r]/g;

/**
 * Rows in COPY's text format, in pieces of some 64 KiB.
 * https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
 */
export function* copyText(rows: Iterable<readonly CopyValue[]>): Generator<string> {
  let piece = "";
  for (const row of rows) {
    let separator = "";
    for (const value of row) {
      piece += separator + field(value);
      separator = "\t";
    }
    piece += "\n";
    if (piece.length >= 65_536) {
      yield piece;
      piece = "";
    }
  }
  if (piece !== "") yield piece;
}

function field(value: CopyValue): string {
  if (value === null) return "\\N";
  const text = String(value);
  return special.test(text) ? text.replaceAll(specials, (one) => escapes[one] ?? one) : text;
}
