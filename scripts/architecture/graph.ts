import { fileURLToPath, pathToFileURL } from "node:url";

/** One import of one module by another; paths are relative to the root, with forward slashes. */
export interface Import {
  readonly from: string;
  /** A path within the root, or as written for everything else: `zod`, `node:fs`. */
  readonly to: string;
  /** One-based. */
  readonly line: number;
  /** Types only: nothing is loaded at run time. */
  readonly typeOnly: boolean;
  /** `import()`: loaded when asked for, not at start. */
  readonly dynamic: boolean;
}

/** `deno info --json`, as far as it is read here. */
interface Resolution {
  readonly specifier?: string;
  readonly error?: string;
  readonly span: { readonly start: { readonly line: number } };
}
interface ModuleGraph {
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly {
      readonly specifier: string;
      readonly code?: Resolution;
      readonly type?: Resolution;
      readonly isDynamic?: boolean;
    }[];
  }[];
}

/** Every import of every TypeScript module in these folders of `root`, as Deno itself reads them. */
export async function moduleGraph(root: string, folders: readonly string[]): Promise<Import[]> {
  const files: string[] = [];
  for (const folder of folders) await collect(`${root}/${folder}`, files);

  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  let graph: ModuleGraph;
  try {
    const lines = files.map((file) => `import ${JSON.stringify(pathToFileURL(file).href)};`);
    await Deno.writeTextFile(entry, lines.join("\n"));
    graph = await denoInfo(entry, root);
  } finally {
    await Deno.remove(entry);
  }

  const base = pathToFileURL(`${root}/`).href;
  const imports: Import[] = [];
  for (const module of graph.modules) {
    if (!module.specifier.startsWith(base)) continue;
    const from = decodeURIComponent(module.specifier.slice(base.length));
    for (const { specifier, code, type, isDynamic } of module.dependencies ?? []) {
      const resolution = code ?? type;
      if (!resolution) continue;
      const target = resolution.specifier ?? specifier;
      imports.push({
        from,
        to: target.startsWith(base) ? decodeURIComponent(target.slice(base.length)) : specifier,
        line: resolution.span.start.line + 1,
        typeOnly: code === undefined,
        dynamic: isDynamic ?? false,
      });
    }
  }
  return imports;
}

async function collect(folder: string, into: string[]): Promise<void> {
  let entries: Deno.DirEntry[];
  try {
    entries = await Array.fromAsync(Deno.readDir(folder));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = `${folder}/${name}`;
    if (isDirectory && name !== "node_modules" && !name.startsWith(".")) await collect(path, into);
    else if (/\.tsx?$/.test(name)) into.push(path);
  }
}

async function denoInfo(entry: string, root: string): Promise<ModuleGraph> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-lock", "--config", `${root}/deno.json`, entry],
    stdin: "null",
  }).output();
  if (!success) throw new Error(`deno info failed: ${new TextDecoder().decode(stderr).trim()}`);
  return JSON.parse(new TextDecoder().decode(stdout)) as ModuleGraph;
}

/** The project's root, seen from this file. */
export const projectRoot = fileURLToPath(new URL("../..", import.meta.url)).replace(/[\\/]$/, "");
