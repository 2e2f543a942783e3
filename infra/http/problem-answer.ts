import type { Logger } from "../telemetry/logger.ts";
import { Problem, problemDocument, problemMediaType } from "./problem.ts";
import { problemOf } from "./problem-of.ts";

const challenge = 'Bearer realm="shutterlog"';

/** A problem as its document. */
export function answerProblem(problem: Problem, requestId: string): Response {
  return new Response(JSON.stringify(problemDocument(problem, requestId)), {
    status: problem.status,
    headers: {
      "Content-Type": problemMediaType,
      // Every 401 says how to authenticate (RFC 9110 §11.6.1).
      ...(problem.status === 401 && { "WWW-Authenticate": challenge }),
      ...problem.more.headers,
    },
  });
}

/** Whatever was thrown, as a client is told of it. What went wrong on our side is logged. */
export function answerError(
  error: unknown,
  logger: Logger,
  request: { readonly requestId: string; readonly method: string; readonly path: string },
): Response {
  const problem = problemOf(error);
  if (problem.status >= 500) {
    logger.error("request failed", { ...request, code: problem.code, error });
  }
  return answerProblem(problem, request.requestId);
}
