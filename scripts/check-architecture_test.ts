import assert from "node:assert/strict";
import { moduleGraph, projectRoot } from "./architecture/graph.ts";
import { layers, violations } from "./architecture/rules.ts";

Deno.test("architecture: this project keeps its own rules", async () => {
  assert.deepEqual(violations(await moduleGraph(projectRoot, layers)), []);
});

/** The rules broken by a tree of modules, as `file:line: rule`. */
async function check(files: Record<string, string>): Promise<string[]> {
  const root = await Deno.realPath(await Deno.makeTempDir());
  try {
    const imports = { sharp: "npm:sharp", zod: "npm:zod" };
    await Deno.writeTextFile(`${root}/deno.json`, JSON.stringify({ imports }));
    for (const [path, text] of Object.entries(files)) {
      await Deno.mkdir(`${root}/${path.split("/").slice(0, -1).join("/")}`, { recursive: true });
      await Deno.writeTextFile(`${root}/${path}`, text);
    }
    const found = violations(await moduleGraph(root, layers));
    return found.map(({ file, line, rule }) => `${file}:${line}: ${rule}`);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const nothing = "export const nothing = undefined;\n";

Deno.test("architecture: arrows that point the right way are let be", async () => {
  assert.deepEqual(
    await check({
      "domain/post.ts": `import "zod";`,
      "domain/post_test.ts": `import "node:assert/strict"; import "./post.ts";`,
      "infra/sql/port.ts": `import "../../domain/post.ts";`,
      "infra/sql/pglite.ts": `import "./port.ts";`,
      "infra/sql/contract.ts": `import "./port.ts";`,
      "infra/sql/pglite_test.ts": `import "./contract.ts"; import "./pglite.ts";`,
      "infra/images/port.ts": nothing,
      "infra/images/sharp.ts": `import "npm:sharp";`,
      "infra/images/sharp_test.ts": `import "../../scripts/photos/photo.ts";`,
      "infra/redis/client.ts": `import "npm:ioredis";`,
      "infra/feed-cache/redis.ts": `import "../redis/client.ts";`,
      "infra/config/embedded.ts":
        `import "../redis/client.ts"; import "../sql/pglite.ts"; export const images = () => import("../images/sharp.ts");`,
      "projections/feeds/feeds.ts": `import "../../infra/sql/port.ts";`,
      "projections/feeds/feeds_test.ts": `import "../../infra/sql/pglite.ts";`,
      "apps/commands/main.ts": `import "../../infra/config/embedded.ts";
        import type { nothing } from "../../infra/images/port.ts";
        export type Nothing = typeof nothing;`,
      "scripts/photos/photo.ts": nothing,
      "scripts/bench.ts": `import "../infra/sql/pglite.ts"; import "../apps/commands/main.ts";`,
    }),
    [],
  );
});

const broken: [claim: string, Record<string, string>, RegExp][] = [
  ["domain importing infra", {
    "domain/post.ts": `\nimport "../infra/sql/port.ts";`,
    "infra/sql/port.ts": nothing,
  }, /^domain\/post\.ts:2: domain may import domain; infra\/sql\/port\.ts is infra$/],
  ["a type-only arrow", {
    "domain/post.ts": `import type { nothing } from "../infra/sql/port.ts";
      export type Nothing = typeof nothing;`,
    "infra/sql/port.ts": nothing,
  }, /^domain\/post\.ts:1: domain may import domain/],
  ["a package in domain", { "domain/post.ts": `import "npm:uuid";` }, /not npm:uuid$/],
  ["infra importing a projection", {
    "infra/http/server.ts": `import "../../projections/feeds/feeds.ts";`,
    "projections/feeds/feeds.ts": nothing,
  }, /^infra\/http\/server\.ts:1: infra may import domain, infra;/],
  ["a projection importing an app, even in a test", {
    "projections/feeds/feeds_test.ts": `import "../../apps/dev/main.ts";`,
    "apps/dev/main.ts": nothing,
  }, /^projections\/feeds\/feeds_test\.ts:1: projections may import/],
  ["an app choosing an adapter", {
    "apps/commands/main.ts": `import "../../infra/sql/pglite.ts";`,
    "infra/sql/pglite.ts": nothing,
  }, /^apps\/commands\/main\.ts:1: infra\/sql\/pglite\.ts is an adapter/],
  ["a projection naming an engine", {
    "projections/feeds/feeds.ts": `import "../../infra/redis/client.ts";`,
    "infra/redis/client.ts": nothing,
  }, /^projections\/feeds\/feeds\.ts:1: infra\/redis\/client\.ts is an adapter/],
  ["one port's folder importing another's adapter", {
    "infra/identity/postgres.ts": `import "../sql/pglite.ts";`,
    "infra/sql/pglite.ts": nothing,
  }, /^infra\/identity\/postgres\.ts:1: infra\/sql\/pglite\.ts is an adapter/],
  ["an app importing test code", {
    "apps/dev/main.ts": `import "../../infra/sql/contract.ts";`,
    "infra/sql/contract.ts": nothing,
  }, /^apps\/dev\/main\.ts:1: apps\/dev\/main\.ts imports test code/],
  [
    "a cycle of types",
    {
      "domain/a.ts": `import type { B } from "./b.ts"; export type A = B;`,
      "domain/b.ts": `import type { C } from "./c.ts"; export type B = C;`,
      "domain/c.ts": `\nimport type { A } from "./a.ts"; export type C = A | 1;`,
    },
    /^domain\/c\.ts:2: import cycle: domain\/a\.ts → domain\/b\.ts → domain\/c\.ts → domain\/a\.ts$/,
  ],
  [
    "image code behind a request handler",
    {
      "apps/queries/main.ts": `import "../../infra/config/all.ts";`,
      "infra/config/all.ts": `import "../images/sharp.ts";`,
      "infra/images/sharp.ts": nothing,
    },
    /^apps\/queries\/main\.ts:1: a request handler loads image code: apps\/queries\/main\.ts → infra\/config\/all\.ts → infra\/images\/sharp\.ts$/,
  ],
  [
    "sharp itself behind a request handler",
    {
      "apps/commands/main.ts": `import "./resize.ts";`,
      "apps/commands/resize.ts": `import "sharp";`,
    },
    /^apps\/commands\/resize\.ts:1: a request handler loads image code: apps\/commands\/resize\.ts → sharp$/,
  ],
];

for (const [claim, files, expected] of broken) {
  Deno.test(`architecture: ${claim} is found`, async () => {
    const [first = "nothing", ...others] = await check(files);
    assert.match(first, expected);
    assert.deepEqual(others, []);
  });
}
