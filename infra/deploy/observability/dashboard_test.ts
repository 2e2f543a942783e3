import assert from "node:assert/strict";
import { parse } from "yaml";
import { z } from "zod";

const text = (path: string) => Deno.readTextFileSync(new URL(path, import.meta.url));

/** Of Grafana's units: https://grafana.com/docs/grafana/latest/panels-visualizations/ */
const unit = z.enum(["s", "reqps", "ops", "percentunit", "bytes", "short", "none"]);
const datasource = z.strictObject({ type: z.literal("prometheus"), uid: z.string() });
const gridPos = z.strictObject({
  x: z.int().min(0).max(23),
  y: z.int().min(0),
  w: z.int().min(1).max(24),
  h: z.int().min(1),
});

/** As far as it is used of Grafana's dashboard model, schemaVersion 39. */
const row = z.strictObject({
  id: z.int().positive(),
  type: z.literal("row"),
  title: z.string().min(1),
  collapsed: z.literal(false),
  gridPos,
  panels: z.tuple([]),
});
const panel = z.strictObject({
  id: z.int().positive(),
  type: z.enum(["timeseries", "stat"]),
  title: z.string().min(1),
  description: z.string().min(1),
  datasource,
  gridPos,
  fieldConfig: z.strictObject({
    defaults: z.looseObject({ unit }),
    overrides: z.tuple([]),
  }),
  options: z.looseObject({}),
  targets: z.array(z.strictObject({
    refId: z.string().regex(/^[A-Z]$/),
    datasource,
    expr: z.string().min(1),
    legendFormat: z.string(),
  })).min(1),
});
const dashboard = z.looseObject({
  uid: z.literal("shutterlog"),
  title: z.string(),
  schemaVersion: z.literal(39),
  panels: z.array(z.discriminatedUnion("type", [row, panel])),
});

const { panels } = dashboard.parse(JSON.parse(text("grafana/dashboards/shutterlog.json")));

Deno.test("dashboard: ids are unique and no panel lies over another", () => {
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Map<string, string>();
  for (const { title, gridPos: { x, y, w, h } } of panels) {
    assert.ok(x + w <= 24, title);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        const cell = `${column},${line}`;
        assert.equal(taken.get(cell), undefined, `${title} at ${cell}`);
        taken.set(cell, title);
      }
    }
  }
});

Deno.test("dashboard: every panel asks a data source that is provisioned", () => {
  const { datasources } = z.object({
    datasources: z.array(z.looseObject({ uid: z.string(), type: z.string() })),
  }).parse(parse(text("grafana/provisioning/datasources/datasources.yml")));
  const provisioned = datasources.map(({ uid, type }) => `${type}/${uid}`);
  for (const panel of panels) {
    if (panel.type === "row") continue;
    for (const { datasource } of [panel, ...panel.targets]) {
      assert.ok(provisioned.includes(`${datasource.type}/${datasource.uid}`), panel.title);
    }
  }
});

Deno.test("dashboard: the folder that Grafana loads it from is the one that it is mounted in", () => {
  const { providers: [provider] } = z.object({
    providers: z.tuple([z.looseObject({ options: z.object({ path: z.string() }) })]),
  }).parse(parse(text("grafana/provisioning/dashboards/dashboards.yml")));
  const { services: { grafana } } = z.object({
    services: z.object({ grafana: z.object({ volumes: z.array(z.string()) }) }),
  }).parse(parse(text("../../../compose.yaml"), { merge: true, maxAliasCount: -1 }));
  const mounted = grafana.volumes.find((volume) => volume.includes("grafana/dashboards"));
  assert.equal(mounted?.split(":")[1], provider.options.path);
});
