import { OpenAPIHono } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { authenticate } from "../../infra/http/authenticate.ts";
import { callerOf, type HttpContext, type HttpEnv } from "../../infra/http/env.ts";
import { jsonWithETag } from "../../infra/http/etag.ts";
import { awaitPosition } from "../../infra/http/positions.ts";
import { rateLimit } from "../../infra/http/rate-limit.ts";
import { followersOf } from "../../projections/read-model/reads/followers.ts";
import { followingOf } from "../../projections/read-model/reads/following.ts";
import { accountOf, followList, me, profileOf } from "./accounts.ts";
import { cardPage } from "./cards/page.ts";
import { presentCard } from "./cards/presentation.ts";
import { belongsInFeed, maySee } from "./cards/rules.ts";
import { accountSkeleton, feedSkeleton } from "./cards/skeleton.ts";
import { FeedFiller } from "./feed-filler.ts";
import { medium } from "./media.ts";
import { pageQueryOf } from "./page-query.ts";
import { comments, likers, postOf } from "./posts.ts";
import * as routes from "./routes.ts";
import type { QueryServices } from "./services.ts";

export interface Queries {
  readonly app: OpenAPIHono<HttpEnv>;
  /** Resolves once the feeds whose filling has begun are filled. */
  drain(): Promise<void>;
}

/** Answers as JSON text. */
type Answer = (c: HttpContext, viewerId: string | undefined) => Promise<string>;

interface Route {
  readonly path: string;
  getRoutingPath(): string;
}

/** The query edge: every GET of `/v1`. To be mounted on an edge that answers what is thrown. */
export function createQueries(services: QueryServices): Queries {
  const { sql, progress, rateLimits } = services;
  const app = new OpenAPIHono<HttpEnv>();
  const filler = new FeedFiller(services);
  const authenticated = authenticate(services);
  const limited = rateLimit(rateLimits.queries);
  const shown = ["read_model", "manifests"];

  const open = (
    route: Parameters<typeof app.openAPIRegistry.registerPath>[0] & Route,
    answer: Answer,
    { who = ifSignedIn(authenticated), projections = shown } = {},
  ) => {
    app.openAPIRegistry.registerPath(route);
    const waits = awaitPosition(progress, projections);
    app.get(
      route.getRoutingPath(),
      who,
      limited,
      waits,
      async (c) => jsonWithETag(c, await answer(c, c.get("caller")?.accountId)),
    );
  };

  open(routes.getMe, (c) => me(services, callerOf(c).accountId), { who: authenticated });

  open(routes.getFeed, (c) => {
    const readerId = callerOf(c).accountId;
    const skeleton = feedSkeleton(services, filler, readerId);
    return cardPage(sql, readerId, pageQueryOf(c), skeleton, belongsInFeed);
  }, { who: authenticated, projections: [...shown, "feeds"] });

  open(routes.getPost, async (c, viewerId) => {
    const { card, liked } = await postOf(services, c.req.param("postId"), viewerId);
    return presentCard(card, liked);
  });
  open(
    routes.getComments,
    (c, viewerId) => comments(services, c.req.param("postId"), viewerId, pageQueryOf(c)),
  );
  open(
    routes.getLikes,
    (c, viewerId) => likers(services, c.req.param("postId"), viewerId, pageQueryOf(c)),
  );

  open(
    routes.getProfile,
    (c, viewerId) => profileOf(services, c.req.param("idOrHandle"), viewerId),
  );
  open(routes.getAccountPosts, async (c, viewerId) => {
    const page = pageQueryOf(c);
    const { row } = await accountOf(services, c.req.param("accountId"), viewerId);
    return cardPage(sql, viewerId, page, accountSkeleton(services, row.account_id), maySee);
  });
  open(
    routes.getFollowers,
    (c, viewerId) =>
      followList(services, c.req.param("accountId"), viewerId, pageQueryOf(c), followersOf),
  );
  open(
    routes.getFollowing,
    (c, viewerId) =>
      followList(services, c.req.param("accountId"), viewerId, pageQueryOf(c), followingOf),
  );

  open(routes.getMedia, (c, viewerId) => medium(services, c.req.param("mediaId"), viewerId));

  return { app, drain: () => filler.drain() };
}

/** No token is fine; one that is not valid is refused, so that the client refreshes it. */
function ifSignedIn(authenticated: MiddlewareHandler<HttpEnv>): MiddlewareHandler<HttpEnv> {
  return (c, next) => c.req.raw.headers.has("authorization") ? authenticated(c, next) : next();
}
