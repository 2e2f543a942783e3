import type { SqlTransaction } from "../../infra/sql/port.ts";

/** Takes back what this has done when it throws, and leaves the transaction as it was before. */
export async function inSavepoint(
  transaction: SqlTransaction,
  work: () => Promise<void>,
): Promise<void> {
  await transaction.execute("SAVEPOINT attempt");
  try {
    await work();
  } catch (error) {
    await transaction.execute("ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt");
    throw error;
  }
  await transaction.execute("RELEASE SAVEPOINT attempt");
}
