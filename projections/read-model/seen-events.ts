import type { DomainEvent } from "../../domain/events.ts";
import type { SqlTransaction } from "../../infra/sql/port.ts";
import type { KeyMemory } from "../runner/key-memory.ts";

/**
 * The same fact may be appended twice, the second time after later facts of its aggregate. Most
 * leave a row that tells; those that do not are remembered here by their ids.
 */
export class SeenEvents {
  readonly #before: ReadonlySet<string>;
  readonly #added = new Set<string>();

  private constructor(before: ReadonlySet<string>) {
    this.#before = before;
  }

  /** Which of these events were seen before. */
  static async load(
    transaction: SqlTransaction,
    events: readonly DomainEvent[],
    memory?: KeyMemory,
  ): Promise<SeenEvents> {
    const ids = events.map(({ id }) => id).filter((id) => memory?.recall(id) ?? true);
    if (ids.length === 0) return new SeenEvents(new Set());
    const rows = await transaction.query<{ event_id: string }>(
      "SELECT event_id FROM read_model.seen_events WHERE event_id = ANY ($1::uuid[])",
      [ids],
    );
    return new SeenEvents(new Set(rows.map(({ event_id }) => event_id)));
  }

  has(id: string): boolean {
    return this.#before.has(id) || this.#added.has(id);
  }

  add(id: string): void {
    this.#added.add(id);
  }

  async save(transaction: SqlTransaction): Promise<void> {
    if (this.#added.size === 0) return;
    await transaction.query(
      "INSERT INTO read_model.seen_events SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING",
      [[...this.#added]],
    );
  }
}
