import type { CopyValue } from "./port.ts";

const escapes: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\t": "\\t",
  "\n": "\\n",
  "\r": "\\r",
};

/**
 * Rows in COPY's text format, in pieces of some 64 KiB.
 * https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
 */
export function* copyText(rows: Iterable<readonly CopyValue[]>): Generator<string> {
  let piece = "";
  for (const row of rows) {
    piece += row.map(field).join("\t") + "\n";
    if (piece.length >= 65_536) {
      yield piece;
      piece = "";
    }
  }
  if (piece !== "") yield piece;
}

function field(value: CopyValue): string {
  if (value === null) return "\\N";
  return String(value).replace(/[\\\t\n\r]/g, (character) => escapes[character] ?? character);
}
