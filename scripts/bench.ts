/** Runs one of the benches, each a program of its own in `bench/`. */
const benches: Readonly<Record<string, string>> = {
  events: "replay, export and queries of logs of 100,000 and 1,000,000 events",
  "fan-out": "a post to 200,000 followers, pushed and pulled",
  feeds: "reads of feeds and posts, signed uploads and fan-out, each beside its limit",
  rebuild: "the read model made anew, beside reading the log and beside COPY",
  formats: "image formats on photographs of yours",
};

const help = `Usage: deno task bench <name> [options]

${Object.entries(benches).map(([name, what]) => `  ${name.padEnd(9)} ${what}`).join("\n")}

deno task bench <name> --help says more.`;

const [name, ...args] = Deno.args;
if (name === undefined || !Object.hasOwn(benches, name)) {
  console.log(help);
  Deno.exit(name === "--help" ? 0 : 2);
}
const bench = new URL(`./bench/${name}.ts`, import.meta.url).pathname;
const { code } = await new Deno.Command(Deno.execPath(), {
  args: ["run", "-A", bench, ...args],
}).spawn().status;
Deno.exit(code);
