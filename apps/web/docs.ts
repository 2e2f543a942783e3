import { Hono } from "hono";
import type { HttpEnv } from "../../infra/http/env.ts";

/** Swagger UI's own files, out of the package that bears them. */
const assets = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "favicon-32x32.png": "image/png",
};
const folder = new URL("static/", import.meta.resolve("@fastify/swagger-ui"));

const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Shutterlog: the HTTP interface</title>
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

const start = `SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#ui",
  deepLinking: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null,
});
`;

/** `/docs`: the OpenAPI document to read and to try, with nothing fetched from elsewhere. */
export function docs(): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>();
  const cached = { "Cache-Control": "public, max-age=3600" };
  app.get("/docs", (c) => c.html(page, 200, { "Content-Security-Policy": policy, ...cached }));
  app.get(
    "/docs/start.js",
    (c) => c.body(start, 200, { "Content-Type": "text/javascript; charset=utf-8", ...cached }),
  );
  for (const [name, type] of Object.entries(assets)) {
    app.get(`/docs/${name}`, async (c) => {
      const bytes = await Deno.readFile(new URL(name, folder));
      return c.body(bytes, 200, { "Content-Type": type, ...cached });
    });
  }
  return app;
}
