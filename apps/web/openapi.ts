import { OpenAPIHono, type RouteConfig } from "@hono/zod-openapi";

/** The OpenAPI 3.1 document of some routes, made from the schemas that check their requests. */
export function openApiDocument(routes: readonly RouteConfig[]): unknown {
  const { openAPIRegistry, getOpenAPI31Document } = new OpenAPIHono();
  openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description: "The accessToken of POST /v1/accounts or POST /v1/sessions, good for 15 minutes.",
  });
  for (const route of routes) openAPIRegistry.registerPath(route);
  return getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Shutterlog",
      version: "1.0.0",
      description:
        "Post photographs, follow people, read feeds. Commands answer with a `Position`; " +
        "a query that sends it back as `Await-Position` sees what the command has done.",
      license: { name: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
  });
}
