import { v7 } from "uuid";

/** A UUIDv7 (RFC 9562 §5.7), increasing within this process even within one millisecond. */
export function newId(): string {
  return v7();
}
