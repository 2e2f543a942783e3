import type { Sql } from "./port.ts";

const fileName = /^\d{6}\.sql$/;

/** A migration that has been applied was edited since. Undo the edit and write a new file. */
export class MigrationChanged extends Error {
  override readonly name = "MigrationChanged";
  constructor(schema: string, file: string) {
    super(`${file} was changed after it was applied to the schema ${schema}`);
  }
}

/**
 * Creates the schema and applies the folder's numbered files to it in order, each once, all that are
 * due in one transaction. `target` is the name the schema gets when it is not the one the files say:
 * every `schema.` in them becomes `target.`. Processes that start at the same time take turns.
 * @throws {MigrationChanged}
 */
export async function migrate(
  sql: Sql,
  folder: URL,
  schema: string,
  target: string = schema,
): Promise<void> {
  const files = await read(folder);
  await sql.transaction(async (transaction) => {
    await transaction.execute(`
      SELECT pg_advisory_xact_lock(7384001);
      CREATE TABLE IF NOT EXISTS public.schema_migrations (
        schema text NOT NULL,
        file text NOT NULL,
        sha256 text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (schema, file)
      );
      CREATE SCHEMA IF NOT EXISTS ${target};
    `);
    const applied = new Map(
      (await transaction.query<{ file: string; sha256: string }>(
        "SELECT file, sha256 FROM public.schema_migrations WHERE schema = $1",
        [target],
      )).map(({ file, sha256 }) => [file, sha256]),
    );
    for (const { file, text, sha256 } of files) {
      const before = applied.get(file);
      if (before === sha256) continue;
      if (before !== undefined) throw new MigrationChanged(target, file);
      await transaction.execute(text.replace(new RegExp(`\\b${schema}\\.`, "g"), `${target}.`));
      await transaction.query(
        "INSERT INTO public.schema_migrations (schema, file, sha256) VALUES ($1, $2, $3)",
        [target, file, sha256],
      );
    }
  });
}

/** Drops a schema that `migrate` made, with all it holds, and forgets its migrations. */
export async function dropSchema(sql: Sql, target: string): Promise<void> {
  await sql.transaction(async (transaction) => {
    await transaction.execute(`DROP SCHEMA IF EXISTS ${target} CASCADE`);
    await transaction.query("DELETE FROM public.schema_migrations WHERE schema = $1", [target]);
  });
}

async function read(folder: URL) {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) if (fileName.test(name)) names.push(name);
  return await Promise.all(
    names.sort().map(async (file) => {
      const text = await Deno.readTextFile(new URL(file, folder));
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
      return { file, text, sha256: new Uint8Array(digest).toHex() };
    }),
  );
}
