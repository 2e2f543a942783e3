import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { testFiles } from "./test/files.ts";

const runner = fileURLToPath(new URL("./run-tests.ts", import.meta.url));

const passing = `Deno.test("one", () => {});
Deno.test("two > parts", async (t) => {
  await t.step("a", () => {});
  await t.step("b", () => {});
});`;
const failing = `Deno.test("fine", () => {});
Deno.test("wrong", async (t) => {
  await t.step("a step", () => { throw new Error("<on purpose>"); });
});`;

/** Runs the runner over these files in a folder of their own. */
async function run(files: Record<string, string>, args: string[] = []) {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", "--no-config", runner, "--no-servers", ...args],
      cwd: folder,
      stdin: "null",
      stderr: "null",
    }).output();
    return { code, last: new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const cases: [claim: string, Record<string, string>, string[], { code: number; last: string }][] = [
  ["counts tests, not their steps", { "a_test.ts": passing }, [], {
    code: 0,
    last: "2 passed, 0 failed",
  }],
  ["counts a test that fails in a step once", { "a_test.ts": passing, "b_test.ts": failing }, [], {
    code: 1,
    last: "3 passed, 1 failed",
  }],
  [
    "counts a module that throws on import as a failure",
    { "a_test.ts": passing, "b_test.ts": `throw new Error("on purpose");` },
    [],
    { code: 1, last: "2 passed, 1 failed" },
  ],
  [
    "counts an import that cannot be found as a failure",
    { "a_test.ts": passing, "b_test.ts": `import "./missing.ts";` },
    [],
    { code: 1, last: "0 passed, 1 failed" },
  ],
  [
    "counts a run that was killed as a failure",
    { "a_test.ts": `Deno.test("dies", () => Deno.kill(Deno.pid, "SIGKILL"));` },
    [],
    { code: 1, last: "0 passed, 1 failed" },
  ],
  [
    "fails a test that leaks a timer",
    {
      "a_test.ts": `Deno.test("leaks", () => { setInterval(() => {}, 1000); });`,
    },
    [],
    { code: 1, last: "0 passed, 1 failed" },
  ],
  ["fails when there is no test", { "readme.md": "nothing" }, [], {
    code: 1,
    last: "0 passed, 1 failed",
  }],
  ["runs the files asked for", { "a_test.ts": passing, "b_test.ts": failing }, ["a_test.ts"], {
    code: 0,
    last: "2 passed, 0 failed",
  }],
  ["runs the tests asked for", { "b_test.ts": failing }, ["--filter", "fine"], {
    code: 0,
    last: "1 passed, 0 failed",
  }],
  ["fails when the filter matches none", { "a_test.ts": passing }, ["--filter", "none such"], {
    code: 1,
    last: "0 passed, 1 failed",
  }],
];

for (const [claim, files, args, expected] of cases) {
  Deno.test(`deno task test: ${claim}`, async () => {
    assert.deepEqual(await run(files, args), expected);
  });
}

Deno.test("deno task test: finds the files that deno test finds, but for hidden ones", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const names = ["a_test.ts", "b.test.js", "test.ts", "d/e_test.tsx", "f.ts", "latest.ts"];
    for (const name of [...names, "node_modules/g/h_test.ts"]) {
      await Deno.mkdir(join(folder, dirname(name)), { recursive: true });
      await Deno.writeTextFile(join(folder, name), `Deno.test("one", () => {});`);
    }
    await Deno.mkdir(join(folder, ".hidden"));
    await Deno.writeTextFile(join(folder, ".hidden/i_test.ts"), "");
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--no-check", "--no-config", "--ignore=.hidden", "."],
      cwd: folder,
      env: { NO_COLOR: "1" },
      stderr: "null",
    }).output();
    const run = new TextDecoder().decode(stdout).matchAll(/^running 1 test from \.\/(.*)$/gm);
    const found = await Array.fromAsync(testFiles(folder), (file) => relative(folder, file));
    assert.deepEqual(found.sort(), Array.from(run, ([, file]) => file).sort());
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
