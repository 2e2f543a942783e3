import type { Identity } from "../identity/port.ts";
import { clientAddress, type HttpContext } from "./env.ts";
import { Problem } from "./problem.ts";
import type { RequestDigest } from "./request-digest.ts";

/** 1 to 255 visible ASCII characters. */
const keyPattern = /^[\x21-\x7e]{1,255}$/;

/** Ids one request may use: its entity's and its event's. */
const reservedIds = 2;

export interface IdempotencyOptions {
  readonly identity: Pick<Identity, "reserve" | "recordAnswer">;
  /** Kept answers may hold tokens. */
  readonly seal: {
    seal(scope: string, key: string, answer: string): string;
    open(scope: string, key: string, sealed: string): string | undefined;
  };
  readonly digest: RequestDigest;
  newId(): string;
  now(): Date;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly position?: string;
}

/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), kept 24 hours for an account, or an
 * address where there is none. A request's ids are reserved under its key before it is carried out,
 * so that one whose answer got lost appends the same events again, which readers of the log drop by
 * id. Of requests with the same key and body all end with the answer that was kept first; only
 * successes are kept.
 *
 * @example
 * ```ts
 * app.post("/v1/posts", (c) => idempotency.once(c, async (nextId) => {
 *   const postId = nextId();
 *   return c.json({ postId }, 201);
 * }));
 * ```
 */
export class Idempotency {
  readonly #options: IdempotencyOptions;

  constructor(options: IdempotencyOptions) {
    this.#options = options;
  }

  /**
   * Carries out `work`, which takes its ids, two at most and always in the same order, from `nextId`.
   * @throws {Problem} `idempotency-key-reused` (422) when the key came with another request before.
   */
  async once<R extends Response>(
    c: HttpContext,
    work: (nextId: () => string) => Promise<R>,
  ): Promise<R> {
    const { identity, digest, seal, newId, now } = this.#options;
    const key = c.req.header("idempotency-key");
    if (key === undefined) return work(newId);
    if (!keyPattern.test(key)) {
      throw new Problem("invalid-idempotency-key", "send 1 to 255 visible ASCII characters");
    }
    const scope = c.get("caller")?.accountId ?? `address ${clientAddress(c)}`;
    const body = await c.req.text();
    const request = {
      scope,
      key,
      bodyHash: await digest.of(c.req.method, c.req.path, body),
      ids: Array.from({ length: reservedIds }, newId),
      now: now(),
    };
    const reserve = async () => {
      const reservation = await identity.reserve(request);
      if (reservation.outcome === "reserved") return reservation;
      throw new Problem("idempotency-key-reused", "this key came with another request before");
    };
    const reservation = await reserve();
    const kept = reservation.answer && seal.open(scope, key, reservation.answer);
    if (kept) return replay<R>(c, JSON.parse(kept));

    const ids = reservation.ids.values();
    const response = await work(() => {
      const { value } = ids.next();
      if (value === undefined) throw new Error(`more than ${reservedIds} ids were asked for`);
      return value;
    });
    const answer: Answer = {
      status: response.status,
      body: await response.text(),
      position: c.get("headers")["Position"],
    };
    await identity.recordAnswer(scope, key, seal.seal(scope, key, JSON.stringify(answer)));
    // Another attempt may have been quicker to record its answer, which then is everybody's.
    const first = (await reserve()).answer;
    const firstKept = first && seal.open(scope, key, first);
    return replay<R>(c, firstKept ? JSON.parse(firstKept) : answer);
  }
}

function replay<R extends Response>(c: HttpContext, { status, body, position }: Answer): R {
  if (position !== undefined) c.get("headers")["Position"] = position;
  const headers = { "Content-Type": "application/json" };
  // What was kept is what a response of this type was once.
  return new Response(body, { status, headers }) as R;
}
