const help = `Everything that must hold before a commit, one after the other:

  format, lint, types, architecture, tests

  deno task ok

All of them run, then it fails if one did. What a check says is shown when it fails.`;

if (Deno.args.includes("--help")) {
  console.log(help);
  Deno.exit(0);
}

const checks = [
  { name: "format", task: ["fmt", "--check"] },
  { name: "lint", task: ["lint"] },
  { name: "types", task: ["check"] },
  { name: "architecture", task: ["architecture"] },
];

const failed: string[] = [];
for (const { name, task } of checks) {
  const began = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", ...task],
    stdin: "null",
  }).output();
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`${success ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
  if (!success) {
    failed.push(name);
    for (const bytes of [stdout, stderr]) console.log(new TextDecoder().decode(bytes).trimEnd());
  }
}

const tests = await new Deno.Command(Deno.execPath(), {
  args: ["task", "--quiet", "test"],
  stdin: "null",
}).spawn().status;
if (!tests.success) failed.push("tests");

if (failed.length > 0) {
  console.error(`failed: ${failed.join(", ")}`);
  Deno.exit(1);
}
