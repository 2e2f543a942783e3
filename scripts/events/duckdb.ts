import { DuckDBInstance } from "@duckdb/node-api";

export type { DuckDBConnection } from "@duckdb/node-api";

/** What DuckDB may hold in memory; beyond that it spills. What JavaScript holds comes on top. */
const memoryLimit = "512MB";

/**
 * DuckDB in memory. What does not fit spills into `spill`, which is made, and removed by `close`.
 *
 * `seal` is called before anybody's SQL runs: from then on this instance reaches no file outside
 * `folder`, no network and no extension, and cannot be told otherwise.
 */
export async function openDuckDb(options: { spill: string }) {
  const { spill } = options;
  const instance = await DuckDBInstance.create(":memory:", {
    memory_limit: memoryLimit,
    temp_directory: spill,
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
  });
  const connection = await instance.connect();
  return {
    connection,
    async seal(folder: string): Promise<void> {
      await connection.run(`SET allowed_directories = [${quote(folder)}]`);
      await connection.run("SET enable_external_access = false");
      await connection.run("SET lock_configuration = true");
    },
    async close(): Promise<void> {
      connection.closeSync();
      instance.closeSync();
      await Deno.remove(spill, { recursive: true }).catch(() => {});
    },
  };
}

/** A text as an SQL literal. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A name as an SQL identifier. */
export function name(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
