import type { DomainEvent } from "../../domain/events.ts";
import { catalogue } from "../../domain/events.ts";
import { encodeEvent } from "../../infra/event-log/codec.ts";
import type { EventLog, NewRecord } from "../../infra/event-log/port.ts";
import { type OutboxRelay, startOutboxRelay } from "../../infra/identity/outbox.ts";
import { dummyHash } from "../../infra/identity/passwords.ts";
import type { Identity } from "../../infra/identity/port.ts";
import { AccountSealer } from "../../infra/identity/sealing.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";
import { BadLine, type Line } from "./cloud-event.ts";

/** Lines that wait for the registration of who wrote their text, at most. */
const maximumHeld = 100_000;

export interface Imported {
  readonly appended: number;
  /** Left out, since the log has them. */
  readonly known: number;
}

/**
 * Appends events that happened elsewhere. Ids and times stay; text is sealed under keys of this
 * instance, made when a registration comes by, which takes the handle too. Text that is null has been
 * removed, and stays so; text of an account that is closed here is removed.
 *
 * Events of one key keep their order. Clocks differ, so a text may come before the registration of its
 * writer: then it is held back, and with it what follows of its key, until there is a key to seal it.
 */
export class Importer {
  readonly #log: Pick<EventLog, "append">;
  readonly #identity: Identity;
  readonly #sealer: AccountSealer;
  readonly #relay: OutboxRelay;
  readonly #known: ReadonlySet<string>;
  /** Accounts whose key is there. */
  readonly #open = new Set<string>();
  /** By record key, the lines that are held back and the owner that the first waits for. */
  readonly #held = new Map<string, { readonly owner: string; readonly lines: Line[] }>();
  #heldCount = 0;
  #records: Promise<NewRecord>[] = [];
  #appended = 0;
  #passed = 0;

  /** @param options.known ids of the events that the log has already. */
  constructor(options: {
    log: Pick<EventLog, "append" | "watermarks">;
    identity: Identity;
    logger: Logger;
    known: ReadonlySet<string>;
  }) {
    const { log, identity, known } = options;
    this.#log = log;
    this.#identity = identity;
    this.#sealer = new AccountSealer({ identity });
    this.#relay = startOutboxRelay(options);
    this.#known = known;
  }

  /**
   * Appends lines that follow those given before; resolves when they are durable, apart from what is
   * held back.
   * @throws {BadLine} when a handle is taken, and nothing of the lines from there on is appended.
   */
  async append(lines: readonly Line[]): Promise<void> {
    try {
      for (const line of lines) await this.#take(line);
    } finally {
      await this.#flush();
    }
  }

  /** @throws {BadLine} when lines still wait for a registration that never came. */
  finish(): Imported {
    for (const { owner, lines: [line] } of this.#held.values()) {
      throw new BadLine(
        line?.number ?? 0,
        `its text is that of account ${owner}, which has no key here, since its AccountRegistered ` +
          "is not among the lines",
      );
    }
    return { appended: this.#appended, known: this.#passed };
  }

  async stop(): Promise<void> {
    await this.#relay.stop();
  }

  async #take(line: Line): Promise<void> {
    const { event } = line;
    const held = this.#held.get(keyOf(event));
    if (held) return this.#hold(held, line);
    if (this.#known.has(event.id)) this.#passed++;
    else {
      if (event.type === "AccountRegistered") await this.#adopt(line);
      const owner = writerOf(event);
      const standing = owner === undefined ? "open" : await this.#standing(owner);
      if (owner !== undefined && standing === "unknown") {
        const waiting = { owner, lines: [] };
        this.#held.set(keyOf(event), waiting);
        return this.#hold(waiting, line);
      }
      if (event.type === "AccountClosed") await this.#close(line);
      else this.#put(standing === "closed" ? { ...line, event: withoutText(event) } : line);
    }
    if (event.type === "AccountRegistered") await this.#release(event.data.accountId);
  }

  #put({ event, traceparent }: Line): void {
    this.#records.push(encodeEvent(event, this.#sealer, traceparent));
  }

  #hold(held: { readonly lines: Line[] }, line: Line): void {
    held.lines.push(line);
    if (++this.#heldCount <= maximumHeld) return;
    const [first] = held.lines;
    throw new BadLine(
      first?.number ?? line.number,
      `over ${maximumHeld} lines wait for accounts whose AccountRegistered has not come by`,
    );
  }

  async #release(owner: string): Promise<void> {
    for (const [key, held] of [...this.#held]) {
      if (held.owner !== owner) continue;
      this.#held.delete(key);
      this.#heldCount -= held.lines.length;
      for (const line of held.lines) await this.#take(line);
    }
  }

  /** Nobody can sign in by the hash, which is that of no password. */
  async #adopt({ number, event }: Line): Promise<void> {
    if (event.type !== "AccountRegistered" || event.data.handle === null) return;
    const { accountId, handle } = event.data;
    const outcome = await this.#identity.adopt({ accountId, handle, passwordHash: dummyHash });
    if (outcome === "handle-taken") {
      throw new BadLine(number, `another account of this instance has the handle ${handle}`);
    }
  }

  async #standing(owner: string): Promise<"open" | "closed" | "unknown"> {
    if (this.#open.has(owner)) return "open";
    const status = (await this.#identity.credentials({ accountId: owner }))?.status ?? "unknown";
    if (status === "open") this.#open.add(owner);
    return status;
  }

  /** The key goes with the account, in one transaction with the event, as when it is closed here. */
  async #close(line: Line): Promise<void> {
    const { event, traceparent } = line;
    if (event.type !== "AccountClosed") return;
    const { accountId } = event.data;
    if (await this.#standing(accountId) !== "open") return this.#put(line);
    await this.#flush();
    const record = await encodeEvent(event, this.#sealer, traceparent);
    await this.#identity.close(accountId, record);
    await this.#relay.deliver({ topic: record.topic, key: record.key, eventId: event.id });
    this.#open.delete(accountId);
    this.#sealer.forget(accountId);
    this.#appended++;
  }

  async #flush(): Promise<void> {
    const records = await Promise.all(this.#records.splice(0));
    if (records.length === 0) return;
    await this.#log.append(records);
    this.#appended += records.length;
  }
}

function keyOf(event: DomainEvent): string {
  const definition = catalogue.definition(event.type);
  return `${definition.topic}/${definition.key(event.data)}`;
}

/** Whose text the event holds; undefined when it holds none, or none any more. */
function writerOf(event: DomainEvent): string | undefined {
  const { owner, personal = [] } = catalogue.definition(event.type);
  const data = event.data as Readonly<Record<string, unknown>>;
  const holdsText = personal.some((field) => {
    const value = data[field];
    return typeof value === "string" ||
      Object.values(value ?? {}).some((text) => typeof text === "string");
  });
  return holdsText ? owner?.(event.data) : undefined;
}

function withoutText(event: DomainEvent): DomainEvent {
  const { personal = [] } = catalogue.definition(event.type);
  const data: Record<string, unknown> = { ...event.data };
  for (const field of personal) {
    const value = data[field];
    if (typeof value === "string") data[field] = null;
    else if (typeof value === "object" && value !== null) {
      data[field] = Object.fromEntries(Object.keys(value).map((name) => [name, null]));
    }
  }
  return { ...event, data } as DomainEvent;
}
