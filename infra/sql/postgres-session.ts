import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { PoolClient } from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { copyText } from "./copy-text.ts";
import { type CopyValue, SqlError, type SqlTransaction } from "./port.ts";
import { leavesConnectionUsable, sqlErrorOf } from "./postgres-error.ts";
import type { StatementNames } from "./statement-names.ts";

/** What one borrower does on one connection: one statement after the other, until it is ended. */
export class Session implements SqlTransaction {
  readonly #client: PoolClient;
  readonly #names: StatementNames;
  #last: Promise<unknown> = Promise.resolve();
  #usable = true;
  #ended = false;

  constructor(client: PoolClient, names: StatementNames) {
    this.#client = client;
    this.#names = names;
  }

  async query<Row>(text: string, parameters: readonly unknown[] = []): Promise<Row[]> {
    const name = parameters.length > 0 ? this.#names.nameOf(text) : undefined;
    const statement = { name, text, values: [...parameters] };
    return (await this.#inTurn(() => this.#client.query(statement))).rows;
  }

  async execute(text: string): Promise<void> {
    await this.#inTurn(() => this.#client.query(text));
  }

  copy(
    table: string,
    columns: readonly string[],
    rows: Iterable<readonly CopyValue[]>,
  ): Promise<number> {
    return this.#inTurn(async () => {
      const copy = this.#client.query(copyFrom(`COPY ${table} (${columns.join(", ")}) FROM STDIN`));
      await pipeline(Readable.from(copyText(rows)), copy);
      return copy.rowCount;
    });
  }

  async commit(): Promise<void> {
    let command: string;
    try {
      ({ command } = await this.#inTurn(() => this.#client.query("COMMIT")));
    } catch (error) {
      if (this.#usable) throw error;
      const message = "the connection was lost during COMMIT: it may have taken effect or not";
      throw new SqlError("08007", message, { cause: error });
    }
    // COMMIT of an aborted transaction is a ROLLBACK, and no error.
    if (command === "ROLLBACK") {
      throw new SqlError("25P02", "a statement failed, so the transaction was rolled back");
    }
  }

  /** Where the connection was lost, so was the transaction. */
  async rollBack(): Promise<void> {
    if (this.#usable) await this.execute("ROLLBACK").catch(() => {});
  }

  /**
   * Nothing of this borrower reaches the connection after this: it goes to another. Resolves to
   * whether it can.
   */
  async end(): Promise<boolean> {
    this.#ended = true;
    await this.#last;
    return this.#usable;
  }

  #inTurn<T>(statement: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      if (this.#ended) throw new SqlError("25P01", "the transaction has ended");
      try {
        return await statement();
      } catch (error) {
        const sqlError = sqlErrorOf(error);
        this.#usable &&= leavesConnectionUsable(sqlError);
        throw sqlError;
      }
    });
    this.#last = turn.catch(() => {});
    return turn;
  }
}
