import { join } from "node:path";

/** The test files below a folder, as `deno test` finds them: nothing hidden, nothing installed. */
export async function* testFiles(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (name.startsWith(".") || name === "node_modules") continue;
    const path = join(folder, name);
    if (isDirectory) yield* testFiles(path);
    else if (/(^|[._])test\.[cm]?[jt]sx?$/.test(name)) yield path;
  }
}
