import assert from "node:assert/strict";
import { sqlContract } from "./contract.ts";
import { openPostgres, type PostgresOptions } from "./postgres.ts";
import { onPostgres } from "./postgres_fixture.ts";

onPostgres("infra/sql", (url) => {
  sqlContract("postgres", () => openPostgres({ url }));

  const shown = async (setting: string, options: PostgresOptions) => {
    await using stack = new AsyncDisposableStack();
    const sql = await openPostgres({ ...options, connections: 1 });
    stack.defer(() => sql.close());
    return (await sql.query<Record<string, string>>(`SHOW ${setting}`))[0]?.[setting];
  };

  Deno.test("postgres: plans each statement once, unless its operator says otherwise", async () => {
    assert.equal(await shown("plan_cache_mode", { url }), "force_generic_plan");
    assert.equal(await shown("plan_cache_mode", { url, readOnly: true }), "force_generic_plan");
    const own = new URL(url);
    own.searchParams.set("options", "-c plan_cache_mode=auto -c work_mem=5MB");
    assert.equal(await shown("plan_cache_mode", { url: own.href }), "auto");
    assert.equal(await shown("work_mem", { url: own.href, readOnly: true }), "5MB");
    assert.equal(await shown("default_transaction_read_only", { url, readOnly: true }), "on");
  });
});
