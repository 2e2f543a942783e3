import { join } from "node:path";

/**
 * Where the embedded run keeps what. `log`, `identity` and `objects` cannot be made again; everything
 * else is derived from them.
 */
export function foldersIn(dataDir: string) {
  const folders = {
    log: join(dataDir, "log"),
    identity: join(dataDir, "identity"),
    objects: join(dataDir, "objects"),
    readModel: join(dataDir, "read-model"),
  };
  return {
    folders,
    logFile: join(folders.log, "log.sqlite"),
    identityFile: join(folders.identity, "identity.sqlite"),
  };
}
