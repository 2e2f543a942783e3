import { join } from "node:path";

/** The test files below a folder, by the names that `deno test` goes by; none in hidden folders. */
export async function* testFiles(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (name.startsWith(".") || name === "node_modules") continue;
    const path = join(folder, name);
    if (isDirectory) yield* testFiles(path);
    else if (/(^|[._])test\.[cm]?[jt]sx?$/.test(name)) yield path;
  }
}
