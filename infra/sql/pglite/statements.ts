import { Buffer } from "node:buffer";
import { messages, type PGlite, protocol, types } from "@electric-sql/pglite";
import { StatementNames } from "../statement-names.ts";

const { serialize } = protocol;

interface Statement {
  readonly name: string;
  readonly parameterTypes: readonly number[];
  readonly fields: readonly { readonly name: string; readonly type: number }[];
}

/**
 * Statements that are parsed and planned once, and then take one call into WebAssembly each. PGlite's
 * own `query` parses and plans each time, in six calls.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
 */
export class Statements {
  readonly #database: PGlite;
  readonly #names = new StatementNames();
  readonly #prepared = new Map<string, Statement>();

  constructor(database: PGlite) {
    this.#database = database;
  }

  /** What it resolves to, or rejects with, is what PGlite's own `query` would. */
  query<Row>(text: string, parameters: readonly unknown[]): Promise<Row[]> {
    return this.#database.runExclusive(async () => {
      const statement = this.#prepared.get(text) ?? await this.#prepare(text);
      const { name, parameterTypes, fields } = statement;
      const values = parameters.map((value, nth) => this.#asText(value, parameterTypes[nth] ?? 0));
      const answer = await this.#send(
        serialize.bind({ statement: name, values }),
        serialize.execute(),
      );
      const rows: Row[] = [];
      for (const message of answer) {
        if (!(message instanceof messages.DataRowMessage)) continue;
        rows.push(
          Object.fromEntries(fields.map(({ name, type }, nth) => [
            name,
            types.parseType(message.fields[nth] ?? null, type, this.#database.parsers),
          ])) as Row,
        );
      }
      return rows;
    });
  }

  /** Under no name once there are too many: it is then replaced by the next. */
  async #prepare(text: string): Promise<Statement> {
    const name = this.#names.nameOf(text) ?? "";
    const answer = await this.#send(
      serialize.parse({ name, text }),
      serialize.describe({ type: "S", name }),
    );
    let parameterTypes: readonly number[] = [];
    let fields: Statement["fields"] = [];
    for (const message of answer) {
      if (message instanceof messages.ParameterDescriptionMessage) {
        parameterTypes = message.dataTypeIDs;
      } else if (message instanceof messages.RowDescriptionMessage) {
        fields = message.fields.map(({ name, dataTypeID }) => ({ name, type: dataTypeID }));
      }
    }
    const statement = { name, parameterTypes, fields };
    if (name !== "") this.#prepared.set(text, statement);
    return statement;
  }

  #asText(value: unknown, type: number): string | null {
    if (value === null || value === undefined) return null;
    return this.#database.serializers[type]?.(value) ?? String(value);
  }

  /** Whatever fails of it, the session is ready for the next: Sync comes last. */
  async #send(...parts: readonly Uint8Array[]) {
    const message = Buffer.concat([...parts, serialize.sync()]);
    const syncToFs = !this.#database.isInTransaction();
    return (await this.#database.execProtocol(message, { syncToFs })).messages;
  }
}
