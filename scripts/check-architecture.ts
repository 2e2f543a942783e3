import { parseArgs } from "node:util";
import { moduleGraph, projectRoot } from "./architecture/graph.ts";
import { layers, violations } from "./architecture/rules.ts";

const help = `Checks who imports whom.

  deno task architecture [root]

  domain ← projections ← apps ← scripts, and infra knows only domain;
  adapters are chosen in infra/config alone; no import cycles;
  apps/commands and apps/queries load no image code.`;

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: { help: { type: "boolean" } },
});
if (values.help) {
  console.log(help);
  Deno.exit(0);
}

const imports = await moduleGraph(positionals[0] ?? projectRoot, layers);
const found = violations(imports);
for (const { file, line, rule, remedy } of found) {
  console.error(`${file}:${line}: ${rule}\n  → ${remedy}`);
}
const modules = new Set(imports.map(({ from }) => from)).size;
console.log(`${imports.length} imports of ${modules} modules, ${found.length} against the rules`);
Deno.exit(found.length > 0 ? 1 : 0);
