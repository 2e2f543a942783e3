import type { Registry } from "prom-client";
import type { Logger } from "../telemetry/logger.ts";
import type { Caller } from "./env.ts";
import { cacheControl, etagOf, type TaggedJson } from "./etag.ts";
import { observer, requestIdOf } from "./observe.ts";
import { answerError } from "./problem-answer.ts";
import type { RateLimit } from "./rate-limit.ts";
import { noPage, noSniffing } from "./security-headers.ts";

/** A GET that is asked for so often that middleware would cost more than its answer. */
export interface HotRoute {
  /** As the edge has it: what metrics call it. */
  readonly pattern: string;
  /** The parameter in a path of this route, "" if it has none; undefined for any other path. */
  match(path: string): string | undefined;
  answer(caller: Caller, parameter: string): TaggedJson | Promise<TaggedJson>;
}

export interface HotPathOptions {
  readonly logger: Logger;
  readonly metrics: Registry;
  readonly corsOrigins: readonly string[];
  readonly accessTokens: { known(token: string): Caller | undefined };
  readonly sessions: { knownToStand(sessionId: string): boolean };
  readonly limit: RateLimit;
  readonly routes: readonly HotRoute[];
}

export type HotPath = (request: Request) => Response | Promise<Response> | undefined;

/**
 * What asks for more than an answer: the edge knows it all. By `has`, for which Deno takes all headers
 * over at once; before it has, `get` goes for each by itself.
 */
function isPlain(headers: Headers): boolean {
  return !headers.has("origin") && !headers.has("await-position") && !headers.has("if-none-match");
}

/**
 * Answers plain requests for hot routes as the edge and its middleware would, header for header, in
 * one function: signed in with a token that is known here, from no other origin, with nothing to wait
 * for or to compare, and within a lease of the rate limit. Undefined for every other request, of
 * which nothing has been done then.
 *
 * @example
 * ```ts
 * const hot = hotPath(options);
 * Deno.serve((request, info) => hot(request) ?? edge.fetch(request, info));
 * ```
 */
export function hotPath(options: HotPathOptions): HotPath {
  const { logger, accessTokens, sessions, limit, routes } = options;
  const observed = observer(options);
  const anyOrigin = options.corsOrigins.includes("*");
  /** Written out, since headers that are spread together from parts cost more than the answer. */
  const headersOf = (requestId: string, left: string): Record<string, string> => {
    const headers: Record<string, string> = {
      "Content-Type": "application/json",
      "X-Content-Type-Options": noSniffing,
      "Content-Security-Policy": noPage,
      "Cache-Control": "no-store",
      "X-Request-Id": requestId,
    };
    if (!anyOrigin) headers["Vary"] = "Origin";
    if (left !== "") {
      headers["RateLimit-Policy"] = limit.policy;
      headers["RateLimit"] = left;
    }
    return headers;
  };

  const lasting = new Templates();
  const responseTo = (answer: TaggedJson, requestId: string, left: string): Response => {
    const complete = () => {
      const headers = headersOf(requestId, left);
      headers["Cache-Control"] = cacheControl;
      headers["ETag"] = etagOf(answer);
      return new Response(answer.json, { headers });
    };
    if (!answer.lasting) return complete();
    const response = lasting.of(answer, complete);
    response.headers.set("X-Request-Id", requestId);
    if (left !== "") response.headers.set("RateLimit", left);
    return response;
  };

  return (request) => {
    if (request.method !== "GET") return undefined;
    const begun = performance.now();
    const path = pathOf(request.url);
    const found = find(routes, path);
    if (!found) return undefined;
    const { route, parameter } = found;
    const { headers } = request;
    if (!isPlain(headers)) return undefined;
    const authorization = headers.get("authorization");
    if (!authorization?.startsWith("Bearer ")) return undefined;
    const caller = accessTokens.known(authorization.slice("Bearer ".length));
    if (!caller || !sessions.knownToStand(caller.sessionId)) return undefined;
    const left = limit.takeLeased(caller.accountId, begun);
    if (left === undefined) return undefined;

    const requestId = requestIdOf(headers.get("x-request-id"));
    const tell = (status: number) =>
      observed({ requestId, method: "GET", path, route: route.pattern, status, begun });
    const answered = (answer: TaggedJson): Response => {
      const response = responseTo(answer, requestId, left);
      tell(200);
      return response;
    };
    const failed = (error: unknown): Response => {
      const response = answerError(error, logger, { requestId, method: "GET", path });
      for (const [name, value] of Object.entries(headersOf(requestId, left))) {
        if (!response.headers.has(name)) response.headers.set(name, value);
      }
      tell(response.status);
      return response;
    };
    try {
      const answer = route.answer(caller, parameter);
      return answer instanceof Promise ? answer.then(answered, failed) : answered(answer);
    } catch (error) {
      return failed(error);
    }
  };
}

/** Responses kept, at most: some 3 KB each. */
const maximumTemplates = 2_000;

/**
 * Responses to what is answered again and again, to be copied: Deno checks every header of a new one,
 * and builds it a second time outside of JavaScript, which together costs more than all of the rest.
 */
class Templates {
  readonly #templates = new Map<TaggedJson, Response>();

  of(answer: TaggedJson, complete: () => Response): Response {
    const known = this.#templates.get(answer);
    if (known) return known.clone();
    const template = complete();
    for (const [oldest] of this.#templates) {
      if (this.#templates.size < maximumTemplates) break;
      this.#templates.delete(oldest);
    }
    this.#templates.set(answer, template);
    return template.clone();
  }
}

function find(
  routes: readonly HotRoute[],
  path: string,
): { readonly route: HotRoute; readonly parameter: string } | undefined {
  for (const route of routes) {
    const parameter = route.match(path);
    if (parameter !== undefined) return { route, parameter };
  }
  return undefined;
}

/** Path and query of a URL as `Deno.serve` gives it: absolute, and normal already. */
export function pathOf(url: string): string {
  return url.slice(url.indexOf("/", "https://".length));
}
