import assert from "node:assert/strict";
import { parse } from "yaml";
import { z } from "zod";
import { missingFor } from "../../../scripts/stack/available.ts";

const folder = new URL(".", import.meta.url).pathname;

async function promtool(...args: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command("promtool", {
    args,
    cwd: folder,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert.ok(success, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
}

const missing = await missingFor(["monitoring"]);
if (missing.length > 0) {
  console.log("left out: promtool on the alert rules, since there is no Prometheus");
} else {
  Deno.test("prometheus.yml and rules.yml: promtool finds no fault", async () => {
    await promtool("check", "config", "prometheus.yml");
    await promtool("check", "rules", "rules.yml");
  });

  Deno.test("rules.yml: each alert is there in the state that it is for, and not in the one beside it", async () => {
    await promtool("test", "rules", "rules_test.yml");
  });
}

const text = (path: string) => Deno.readTextFileSync(new URL(path, import.meta.url));
const rules = z.object({
  groups: z.array(z.object({
    rules: z.array(z.looseObject({
      alert: z.string().optional(),
      labels: z.object({ severity: z.enum(["page", "ticket"]) }).optional(),
      annotations: z.object({ summary: z.string(), action: z.string() }).optional(),
    })),
  })),
}).parse(parse(text("rules.yml")));
const alerts = rules.groups.flatMap((group) => group.rules)
  .flatMap(({ alert, ...rule }) => alert === undefined ? [] : [{ alert, ...rule }]);

Deno.test("rules.yml: each alert says how urgent it is and what to do, is tested, and is in the README", () => {
  const tests = text("rules_test.yml");
  const readme = text("../../../README.md");
  assert.ok(alerts.length > 0);
  for (const { alert, labels, annotations } of alerts) {
    assert.ok(labels && annotations, alert);
    assert.match(tests, new RegExp(`alertname: ${alert}\n +exp_alerts:\n`), `${alert} goes off`);
    assert.ok(readme.includes(`\`${alert}\``), `${alert} is explained in the README`);
  }
});
