/** A part of a representation: from `start` up to `end`, exclusive, in bytes. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * What a Range header asks of so many bytes (RFC 9110, section 14.2). Undefined when it is to be
 * ignored and all be sent: it is not one range of bytes (several are allowed to be ignored), or is
 * no range at all.
 */
export function parseRange(
  header: string,
  byteLength: number,
): ByteRange | "unsatisfiable" | undefined {
  const match = /^bytes=[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*$/i.exec(header);
  if (!match) return undefined;
  const [, first, last, suffixLength] = match;
  if (first === undefined) {
    const length = Math.min(Number(suffixLength), byteLength);
    return length === 0 ? "unsatisfiable" : { start: byteLength - length, end: byteLength };
  }
  const start = Number(first);
  const end = last ? Math.min(Number(last) + 1, byteLength) : byteLength;
  if (last && Number(last) < start) return undefined;
  return start >= byteLength ? "unsatisfiable" : { start, end };
}
