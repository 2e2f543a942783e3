import { maximumRecordBytes, type NewRecord, RecordTooLarge } from "./port.ts";

/** UTF-8 bytes of key, value and headers together. */
export function recordBytes(record: NewRecord): number {
  let bytes = utf8Bytes(record.key) + utf8Bytes(record.value);
  for (const [name, value] of Object.entries(record.headers)) {
    bytes += utf8Bytes(name) + utf8Bytes(value);
  }
  return bytes;
}

/** @throws {RecordTooLarge} when a record is over `maximumRecordBytes`. */
export function assertRecordFits(record: NewRecord): void {
  const bytes = recordBytes(record);
  if (bytes > maximumRecordBytes) {
    throw new RecordTooLarge(
      `a record of ${bytes} bytes for ${record.topic} is over the limit of ${maximumRecordBytes}`,
    );
  }
}

const encoder = new TextEncoder();

function utf8Bytes(text: string): number {
  return encoder.encode(text).length;
}
