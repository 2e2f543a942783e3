import { OpenAPIHono } from "@hono/zod-openapi";
import type { HttpEnv } from "../../infra/http/env.ts";
import { accountRoutes, mountAccounts } from "./accounts.ts";
import { engagementRoutes, mountEngagement } from "./engagement.ts";
import { followRoutes, mountFollows } from "./follows.ts";
import { mediaRoutes, mountMedia } from "./media.ts";
import { mountPosts, postRoutes } from "./posts.ts";
import type { CommandServices } from "./services.ts";
import { mountSessions, sessionRoutes } from "./sessions.ts";

/** Every command's definition, for the OpenAPI document. */
export const commandRoutes = [
  ...accountRoutes,
  ...sessionRoutes,
  ...mediaRoutes,
  ...postRoutes,
  ...engagementRoutes,
  ...followRoutes,
];

/**
 * The command side of the HTTP interface, to be mounted on `createEdge`. A command reads and checks
 * its request, gathers what its decider must know, appends what was decided, and answers with the
 * `Position` of that. It never waits for projections after it has appended.
 */
export function createCommands(services: CommandServices): OpenAPIHono<HttpEnv> {
  const app = new OpenAPIHono<HttpEnv>();
  mountAccounts(app, services);
  mountSessions(app, services);
  mountMedia(app, services);
  mountPosts(app, services);
  mountEngagement(app, services);
  mountFollows(app, services);
  return app;
}
