import { OpenAPIHono } from "@hono/zod-openapi";
import type { Registry } from "prom-client";
import type { ZodError } from "zod";
import type { Logger } from "../telemetry/logger.ts";
import { cors } from "./cors.ts";
import type { HttpEnv } from "./env.ts";
import { observe } from "./observe.ts";
import { Problem, type ProblemCode } from "./problem.ts";
import { answerError, answerProblem } from "./problem-answer.ts";
import { securityHeaders } from "./security-headers.ts";

export interface EdgeOptions {
  readonly logger: Logger;
  readonly metrics: Registry;
  /** Origins whose pages may read answers; `*` for any. */
  readonly corsOrigins: readonly string[];
  /** Reverse proxies in front whose `X-Forwarded-For` is believed; 0 when clients connect directly. */
  readonly trustedProxies: number;
}

const methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/**
 * What every process shows to the network: request ids, metrics, CORS, security headers, and
 * problem documents for whatever is thrown, missing, or asked with a wrong method. Routes are mounted
 * on it; it is used once per process, since its middleware sees every request.
 *
 * @example
 * ```ts
 * const edge = createEdge({ logger, metrics, corsOrigins: ["*"], trustedProxies: 0 });
 * edge.route("/", createCommands(services)).route("/", createQueries(services));
 * Deno.serve(edge.fetch);
 * ```
 */
export function createEdge(options: EdgeOptions): OpenAPIHono<HttpEnv> {
  const { logger, trustedProxies } = options;
  const edge = new OpenAPIHono<HttpEnv>({ defaultHook: refuseInvalid });
  edge.use(observe(options));
  edge.use(securityHeaders);
  edge.use(cors(options.corsOrigins));
  if (trustedProxies > 0) {
    edge.use((c, next) => {
      c.set("trustedProxies", trustedProxies);
      return next();
    });
  }
  edge.onError((error, c) =>
    answerError(error, logger, {
      requestId: c.get("requestId"),
      method: c.req.method,
      path: c.req.path,
    })
  );
  edge.notFound((c) => {
    // What middleware alone would match matches any method.
    const count = (method: string) => edge.router.match(method, c.req.path)[0].length;
    const allowed = methods.filter((method) => count(method) > count("-"));
    if (allowed.length === 0) {
      return answerProblem(new Problem("not-found", "no such resource"), c.get("requestId"));
    }
    const shown = allowed.flatMap((method) => method === "GET" ? ["GET", "HEAD"] : [method]);
    const headers = { Allow: shown.join(", ") };
    const problem = new Problem("method-not-allowed", `use ${headers.Allow}`, { headers });
    return answerProblem(problem, c.get("requestId"));
  });
  return edge;
}

/** What a value that is not one means, by where it stood. An id that is none names nothing: 404. */
const invalid: Record<string, { code: ProblemCode; detail: string }> = {
  param: { code: "not-found", detail: "the path names nothing there can be" },
  query: { code: "invalid-query", detail: "see errors" },
  json: { code: "invalid-body", detail: "see errors" },
};

function refuseInvalid(
  result: { target: string } & ({ success: true } | { success: false; error: ZodError }),
): void {
  if (result.success) return;
  const { code, detail } = invalid[result.target] ??
    { code: "invalid-query", detail: "see errors" };
  if (code === "not-found") throw new Problem(code, detail);
  const errors = result.error.issues.map(({ path, message }) => ({
    path: path.map(String).join("."),
    message,
  }));
  throw new Problem(code, detail, { errors });
}
