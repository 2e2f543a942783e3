import type { SqlQueries } from "../../../infra/sql/port.ts";

/** The ids of all open accounts, so many at a time, with how many there were at the beginning. */
export async function* eachAccountId(
  sql: SqlQueries,
  atATime: number,
): AsyncGenerator<{ readonly ids: readonly string[]; readonly of: number }> {
  const [all] = await sql.query<{ count: number }>(
    "SELECT count(*) AS count FROM read_model.accounts WHERE closed_at IS NULL",
  );
  let after = "00000000-0000-0000-0000-000000000000";
  for (;;) {
    const rows = await sql.query<{ account_id: string }>(
      `SELECT account_id FROM read_model.accounts
       WHERE account_id > $1 AND closed_at IS NULL ORDER BY account_id LIMIT $2`,
      [after, atATime],
    );
    const ids = rows.map(({ account_id }) => account_id);
    const last = ids.at(-1);
    if (last === undefined) return;
    yield { ids, of: all?.count ?? 0 };
    after = last;
  }
}
