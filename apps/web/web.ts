import type { RouteConfig } from "@hono/zod-openapi";
import { Hono } from "hono";
import type { HttpEnv } from "../../infra/http/env.ts";
import { jsonWithETag, tagged } from "../../infra/http/etag.ts";
import { Problem, type ProblemCode, problems } from "../../infra/http/problem.ts";
import { docs } from "./docs.ts";
import { homePage, homePolicy } from "./home.ts";
import { openApiDocument } from "./openapi.ts";

/**
 * For people, and for tools that read the interface's description: `/`, `/docs`, `/openapi.json` and
 * `/problems/:code`, where each problem's `type` leads. To be mounted on `createEdge`.
 */
export async function createWeb(
  { routes }: { routes: readonly RouteConfig[] },
): Promise<Hono<HttpEnv>> {
  const app = new Hono<HttpEnv>();
  const policy = await homePolicy();
  const document = JSON.stringify(openApiDocument(routes));

  app.get("/", (c) =>
    c.html(homePage, 200, {
      "Content-Security-Policy": policy,
      "Cache-Control": "public, max-age=300",
    }));
  app.route("/", docs());
  const description = tagged(document);
  app.get("/openapi.json", (c) => jsonWithETag(c, description));
  app.get("/problems/:code", (c) => {
    const code = c.req.param("code");
    if (!isProblemCode(code)) throw new Problem("not-found", "no problem has this code");
    const { status, title } = problems[code];
    return c.text(`${code}\n\n${title}. Answered with status ${status}.\n`);
  });
  return app;
}

function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(problems, code);
}
