import type { RefusalCode } from "../../domain/decision.ts";

/**
 * Every problem a client can meet, each of the domain's refusals among them. The code is stable;
 * status and title go with it.
 */
export const problems = {
  "invalid-json": { status: 400, title: "The body is not JSON" },
  "invalid-utf8": { status: 400, title: "The body is not UTF-8" },
  "invalid-query": { status: 400, title: "A query parameter is not right" },
  "invalid-position": { status: 400, title: "Await-Position is not a position" },
  "invalid-idempotency-key": { status: 400, title: "Idempotency-Key is not right" },
  "unauthenticated": { status: 401, title: "A valid access token is needed" },
  "invalid-credentials": { status: 401, title: "Handle and password do not match" },
  "invalid-refresh-token": { status: 401, title: "The refresh token is not valid" },
  "not-the-author": { status: 403, title: "Only the author may do this" },
  "blocked": { status: 403, title: "A block stands between you" },
  "not-found": { status: 404, title: "There is nothing here" },
  "account-not-found": { status: 404, title: "No such account" },
  "post-not-found": { status: 404, title: "No such post" },
  "comment-not-found": { status: 404, title: "No such comment" },
  "media-not-found": { status: 404, title: "No such medium" },
  "method-not-allowed": { status: 405, title: "This method is not allowed here" },
  "handle-taken": { status: 409, title: "This handle is taken" },
  "blocking": { status: 409, title: "You block this account" },
  "account-closed": { status: 410, title: "This account is closed" },
  "body-too-large": { status: 413, title: "The body is too large" },
  "unsupported-media-type": { status: 415, title: "The body must be application/json" },
  "invalid-body": { status: 422, title: "The body does not fit its schema" },
  "media-not-uploaded": { status: 422, title: "This medium is not among your uploads" },
  "self-relation": { status: 422, title: "An account cannot do this to itself" },
  "idempotency-key-reused": {
    status: 422,
    title: "This Idempotency-Key came with another request",
  },
  "too-many-requests": { status: 429, title: "Too many requests" },
  "internal": { status: 500, title: "Something went wrong on our side" },
  "overloaded": { status: 503, title: "Too busy for the moment" },
  "unavailable": { status: 503, title: "A part of the service cannot be reached" },
} as const satisfies Record<string, ProblemKind> & Record<RefusalCode, ProblemKind>;

export type ProblemCode = keyof typeof problems;

interface ProblemKind {
  readonly status: number;
  readonly title: string;
}

export interface FieldError {
  /** Where in the body or query, its parts divided by dots. */
  readonly path: string;
  readonly message: string;
}

/** Thrown by handlers and middleware; answered by `createEdge` as a problem document. */
export class Problem extends Error {
  override readonly name = "Problem";
  constructor(
    readonly code: ProblemCode,
    /** One sentence for the client's developer. Never a stack trace, SQL or key. */
    readonly detail: string,
    readonly more: {
      readonly errors?: readonly FieldError[];
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(`${code}: ${detail}`);
  }

  get status(): typeof problems[ProblemCode]["status"] {
    return problems[this.code].status;
  }
}

export const problemMediaType = "application/problem+json";

/**
 * A problem document (RFC 9457). `type` is a relative reference which the server answers at
 * `GET /problems/:code`; `instance` is the request's id.
 *
 * @example
 * ```ts
 * problemDocument(new Problem("post-not-found", "no such post"), "0193…").type; // "/problems/post-not-found"
 * ```
 */
export function problemDocument(problem: Problem, requestId: string): Record<string, unknown> {
  const { status, title } = problems[problem.code];
  const { errors } = problem.more;
  return {
    type: `/problems/${problem.code}`,
    title,
    status,
    detail: problem.detail,
    instance: requestId,
    ...(errors && { errors }),
  };
}
