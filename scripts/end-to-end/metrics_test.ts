import assert from "node:assert/strict";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { ShutterlogClient } from "../client/client.ts";
import { projectRoot } from "../architecture/graph.ts";
import { drawPhoto } from "../photos/photo.ts";
import { missingFor } from "../stack/available.ts";
import { withServer } from "./server.ts";
import { startPrometheus } from "./prometheus.ts";
import { until } from "./until.ts";

const folder = join(projectRoot, "infra/deploy/observability");
const text = (path: string) => Deno.readTextFileSync(join(folder, path));

interface Query {
  readonly title: string;
  readonly expr: string;
}

const dashboard = JSON.parse(text("grafana/dashboards/shutterlog.json"));
/** Every query of its panels. */
const queries: readonly Query[] = dashboard.panels
  .flatMap(({ title, targets = [] }: { title: string; targets?: { expr: string }[] }) =>
    targets.map(({ expr }) => ({ title, expr }))
  );

const rules: readonly { expr: string; record?: string }[] = parse(text("rules.yml")).groups
  .flatMap((group: { rules: unknown[] }) => group.rules);
/** What the rules make themselves, as opposed to what they are made of. */
const recorded = new Set(rules.map(({ record }) => record));

/** The metrics that an expression names. */
function metricsIn(expr: string): string[] {
  const names = expr.match(/\b(shutterlog|process)[a-z_:0-9]+/g) ?? [];
  return names.filter((name) => !recorded.has(name))
    .map((name) => name.replace(/(_seconds)_(bucket|sum|count)$/, "$1"));
}

/** Someone who uses all of it, over and over: uploads, posts, likes, reads. */
async function use(baseUrl: string, signal: AbortSignal): Promise<void> {
  const [ada, bob] = [new ShutterlogClient(baseUrl), new ShutterlogClient(baseUrl)];
  const password = "correct horse battery";
  const { account } = await ada.register({ handle: "ada", password });
  await bob.register({ handle: "bob", password });
  await bob.follow(account.id);
  const photo = await drawPhoto({ seed: 3, format: "1:1" });
  while (!signal.aborted) {
    const mediaId = await ada.upload(photo.contentType, photo.bytes);
    await bob.feed();
    const { postId } = await ada.createPost({ mediaIds: [mediaId] });
    await bob.like(postId);
    await bob.feed();
    await bob.request("GET", "/v1/accounts/nobody");
  }
}

Deno.test("metrics: what dashboard and rules name is what a process shows", async () => {
  await withServer(async ({ baseUrl }) => {
    const shown = await (await fetch(`${baseUrl}/metrics`)).text();
    const registered = new Set(
      [...shown.matchAll(/^# TYPE (\S+) /gm)].map(([, name = ""]) => name),
    );
    const named = [...queries, ...dashboard.annotations.list, ...rules].flatMap(({ expr }) =>
      metricsIn(expr)
    );
    assert.ok(named.length > 30, `${named.length} are named`);
    for (const name of new Set(named)) assert.ok(registered.has(name), `${name} is registered`);
    for (const [, name = ""] of text("rules_test.yml").matchAll(/series: (\w+)/g)) {
      if (name === "up") continue;
      for (const metric of metricsIn(name)) assert.ok(registered.has(metric), metric);
    }
  });
});

const missing = await missingFor(["monitoring"]);
if (missing.length > 0) {
  console.log("left out: the dashboard on a real Prometheus, since there is none");
} else {
  Deno.test("metrics: a real Prometheus has data for every query of the dashboard, and no alert goes off", async (t) => {
    await withServer(async ({ baseUrl }) => {
      const config = parse(text("prometheus.yml"));
      const { host } = new URL(baseUrl);
      // Every role is this one process, and it is looked at more often.
      const scraped = {
        global: { scrape_interval: "1s", evaluation_interval: "1s" },
        rule_files: [join(folder, "rules.yml")],
        scrape_configs: config.scrape_configs.map(({ job_name }: { job_name: string }) => ({
          job_name,
          static_configs: [{ targets: [host] }],
        })),
      };
      await using prometheus = await startPrometheus(stringify(scraped));
      const enough = new AbortController();
      const using_ = use(baseUrl, enough.signal);
      try {
        for (const { title, expr } of queries) {
          await t.step(`${title}: ${expr.slice(0, 60)}`, async () => {
            const query = expr.replaceAll("$__rate_interval", "5s");
            await until(query, async () => {
              const values = await prometheus.query(query);
              return values.some((value) => Number.isFinite(value));
            }, 30_000);
          });
        }
        assert.deepEqual(await prometheus.firing(), []);
      } finally {
        enough.abort();
        await using_;
      }
    });
  });
}
