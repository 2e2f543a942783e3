import { OpenAPIHono } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { authenticate } from "../../infra/http/authenticate.ts";
import { callerOf, type HttpContext, type HttpEnv } from "../../infra/http/env.ts";
import { jsonWithETag, tagged, type TaggedJson } from "../../infra/http/etag.ts";
import type { HotRoute } from "../../infra/http/hot-path.ts";
import { awaitPosition, type Progress } from "../../infra/http/positions.ts";
import { rateLimit } from "../../infra/http/rate-limit.ts";
import { followersOf } from "../../projections/read-model/reads/followers.ts";
import { followingOf } from "../../projections/read-model/reads/following.ts";
import { accountOf, followList, me, profileOf } from "./accounts.ts";
import { Hydration } from "./cards/hydration.ts";
import { cardPage } from "./cards/page.ts";
import { belongsInFeed, maySee } from "./cards/rules.ts";
import { accountSkeleton, feedSkeleton } from "./cards/skeleton.ts";
import { FeedFiller } from "./feed-filler.ts";
import { medium } from "./media.ts";
import { firstPage, type PageQuery, pageQueryOf } from "./page-query.ts";
import { comments, idOfPost, likers, postDetail } from "./posts.ts";
import * as routes from "./routes.ts";
import type { QueryServices } from "./services.ts";

export interface Queries {
  readonly app: OpenAPIHono<HttpEnv>;
  /** Those of its routes that a server may answer before the app: see `hotPath`. */
  readonly hot: readonly HotRoute[];
  /** Resolves once the feeds whose filling has begun are filled. */
  drain(): Promise<void>;
  /** Drains, and keeps no cards any more. */
  stop(): Promise<void>;
}

type Answer = (
  c: HttpContext,
  viewerId: string | undefined,
) => string | TaggedJson | Promise<string | TaggedJson>;

interface Route {
  readonly path: string;
  getRoutingPath(): string;
}

/** The query edge: every GET of `/v1`. To be mounted on an edge that answers what is thrown. */
export function createQueries(services: QueryServices): Queries {
  const { progress, rateLimits } = services;
  const app = new OpenAPIHono<HttpEnv>();
  const filler = new FeedFiller(services);
  const authenticated = authenticate(services);
  const limited = rateLimit(rateLimits.queries);
  const hydration = new Hydration({ ...services, sql: services.primary });
  const shown = ["read_model", "manifests"];
  const cards = [...shown, "cards"];
  /** What has been passed by the projections has been passed by what is kept here. */
  const heard: Progress = {
    async reached(position, projections, timeout) {
      const reached = await progress.reached(position, projections, timeout);
      if (projections.includes("cards")) await hydration.caughtUp();
      return reached;
    },
  };

  const open = (
    route: Parameters<typeof app.openAPIRegistry.registerPath>[0] & Route,
    answer: Answer,
    { who = ifSignedIn(authenticated), projections = shown } = {},
  ) => {
    app.openAPIRegistry.registerPath(route);
    const waits = awaitPosition(heard, projections);
    app.get(
      route.getRoutingPath(),
      who,
      limited,
      waits,
      async (c) => {
        const json = await answer(c, c.get("caller")?.accountId);
        return jsonWithETag(c, typeof json === "string" ? tagged(json) : json);
      },
    );
  };

  open(routes.getMe, (c) => me(services, callerOf(c).accountId), { who: authenticated });

  const feed = (readerId: string, page: PageQuery): TaggedJson | Promise<TaggedJson> => {
    const skeleton = feedSkeleton(services, filler, readerId);
    const answer = cardPage(hydration, readerId, page, skeleton, belongsInFeed);
    // What was there at once has found nothing missing.
    return answer instanceof Promise ? answer.finally(() => filler.begin()) : answer;
  };
  open(routes.getFeed, (c) => feed(callerOf(c).accountId, pageQueryOf(c)), {
    who: authenticated,
    projections: [...cards, "feeds"],
  });

  open(
    routes.getPost,
    (c, viewerId) => postDetail(hydration, idOfPost(c.req.param("postId")), viewerId),
    { projections: cards },
  );
  open(
    routes.getComments,
    (c, viewerId) => comments(services, hydration, c.req.param("postId"), viewerId, pageQueryOf(c)),
    { projections: cards },
  );
  open(
    routes.getLikes,
    (c, viewerId) => likers(services, hydration, c.req.param("postId"), viewerId, pageQueryOf(c)),
    { projections: cards },
  );

  open(
    routes.getProfile,
    (c, viewerId) => profileOf(services, c.req.param("idOrHandle"), viewerId),
  );
  open(routes.getAccountPosts, async (c, viewerId) => {
    const page = pageQueryOf(c);
    const { row } = await accountOf(services, c.req.param("accountId"), viewerId);
    return cardPage(hydration, viewerId, page, accountSkeleton(services, row.account_id), maySee);
  }, { projections: cards });
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

  const onePost = /^\/v1\/posts\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
  const hot: HotRoute[] = [
    {
      pattern: routes.getFeed.getRoutingPath(),
      match: (path) => path === routes.getFeed.path ? "" : undefined,
      answer: ({ accountId }) => feed(accountId, firstPage),
    },
    {
      pattern: routes.getPost.getRoutingPath(),
      match: (path) => onePost.exec(path)?.[1],
      answer: ({ accountId }, postId) => postDetail(hydration, postId, accountId),
    },
  ];

  return {
    app,
    hot,
    drain: () => filler.drain(),
    async stop() {
      await filler.drain();
      await hydration.stop();
    },
  };
}

/** No token is fine; one that is not valid is refused, so that the client refreshes it. */
function ifSignedIn(authenticated: MiddlewareHandler<HttpEnv>): MiddlewareHandler<HttpEnv> {
  return (c, next) => c.req.raw.headers.has("authorization") ? authenticated(c, next) : next();
}
