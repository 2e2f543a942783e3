import { openPglite } from "./pglite.ts";
import type { Sql } from "./port.ts";

/** A file by `makePgliteImage`, which all tests of a run share. */
const image = Deno.env.get("SHUTTERLOG_TEST_PGLITE_IMAGE");
const asImage = image === undefined ? {} : { image };

/** A database in memory that begins as the run's image, or where there is none, by initdb. */
export function openInMemory(): Promise<Sql> {
  return openPglite(asImage);
}

/** The same in a folder. */
export function openInFolder(folder: string): Promise<Sql> {
  return openPglite({ folder, ...asImage });
}
