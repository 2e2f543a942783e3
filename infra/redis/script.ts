import { createHash } from "node:crypto";

/** A Lua script that touches one key, `KEYS[1]`, and is known to a server by the hash of its text. */
export interface Script {
  readonly source: string;
  readonly sha: string;
}

export function script(source: string): Script {
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}
