import { PGlite } from "@electric-sql/pglite";

/**
 * Writes a new, empty cluster into a file of 40 MB. From it a database in memory is there in a third
 * of a second; made anew, it takes initdb, and one and a half to three seconds of a core.
 */
export async function makePgliteImage(path: string): Promise<void> {
  const database = await PGlite.create();
  try {
    const image = await database.dumpDataDir("none");
    await Deno.writeFile(path, image.stream());
  } finally {
    await database.close();
  }
}
