/** Any answer that is not a success, as an Error that says what was asked and what came back. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";

  constructor(
    readonly request: string,
    readonly status: number,
    readonly headers: Headers,
    /** The problem document (RFC 9457); empty when the answer was none. */
    readonly problem: ProblemDocument,
    text: string,
  ) {
    const said = [problem.title, problem.detail].filter((part) => part !== undefined).join(": ");
    const fields = (problem.errors ?? []).map(({ path, message }) => `\n  ${path}: ${message}`);
    super(`${request} → ${status} ${said || text.slice(0, 300)}${fields.join("")}`);
  }

  /** The last part of the problem's `type`, such as `handle-taken`; empty when there is none. */
  get code(): string {
    return this.problem.type?.split(/[/:#]/).at(-1) ?? "";
  }
}

export interface ProblemDocument {
  readonly type?: string;
  readonly title?: string;
  readonly status?: number;
  readonly detail?: string;
  readonly instance?: string;
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
}

export function problemOf(request: string, answer: {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}): ProblemError {
  const { status, headers, text } = answer;
  const isProblem = headers.get("content-type")?.startsWith("application/problem+json") ?? false;
  let problem: ProblemDocument = {};
  try {
    if (isProblem) problem = JSON.parse(text) as ProblemDocument;
  } catch {
    // A document that is no JSON is shown as the text it is.
  }
  return new ProblemError(request, status, headers, problem, text);
}

/** Nothing listens there. */
export class ServerUnreachable extends Error {
  override readonly name = "ServerUnreachable";
  constructor(url: string, options?: ErrorOptions) {
    super(`nothing answers at ${url}`, options);
  }
}
