import { createRedisCardCache } from "../card-cache/redis.ts";
import { createNginxEdge } from "../edge-cache/nginx.ts";
import { noEdgeCache } from "../edge-cache/none.ts";
import type { EdgeCache } from "../edge-cache/port.ts";
import { createRedisFeedCaches } from "../feed-cache/redis.ts";
import { closeRedis, openRedis } from "../redis/client.ts";
import { createRateLimits, type RateLimits } from "../http/rate-limit.ts";
import { redisRateStore } from "../http/rate-limit-redis.ts";
import { RequestDigest } from "../http/request-digest.ts";
import { AnswerSeal } from "../identity/answer-seal.ts";
import { openPostgresIdentity } from "../identity/postgres.ts";
import { AccountSealer } from "../identity/sealing.ts";
import { Sessions } from "../identity/sessions.ts";
import { AccessTokens } from "../identity/tokens.ts";
import { openS3Store } from "../object-store/s3.ts";
import { PostgresReads } from "../sql/postgres-reads.ts";
import { openPostgres, type PostgresOptions } from "../sql/postgres.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { NetworkedConfig } from "./config.ts";
import { openNetworkedLog } from "./fill-engines.ts";

/** Not a URL: tokens outlive a move of the API to another host. */
const issuer = "urn:shutterlog";

/**
 * Engines on the network. Each is opened when a role asks for it, so that no role connects to, or
 * waits for, what it does not need.
 */
export class NetworkedEngines {
  readonly #config: NetworkedConfig;
  readonly #logger: Logger;
  readonly #opened: (() => Promise<unknown>)[] = [];

  constructor(config: NetworkedConfig, logger: Logger) {
    this.#config = config;
    this.#logger = logger;
  }

  async log() {
    const log = await openNetworkedLog(this.#config, this.#logger);
    return this.#closing(log, () => log.close());
  }

  /** The primary. `options` for what is not a request's: an index takes longer than any of those. */
  async sql(options: Pick<PostgresOptions, "statementTimeout"> = {}) {
    const sql = await openPostgres({ url: this.#config.POSTGRES_URL, ...options });
    return this.#closing(sql, () => sql.close());
  }

  /** Replicas, and the primary after them. */
  reads() {
    const { POSTGRES_REPLICA_URLS, POSTGRES_URL } = this.#config;
    const reads = new PostgresReads([...POSTGRES_REPLICA_URLS, POSTGRES_URL]);
    return this.#closing(reads, () => reads.close());
  }

  feedCaches() {
    const caches = createRedisFeedCaches({ client: openRedis(this.#redis(), this.#logger) });
    return this.#closing(caches, () => caches.close());
  }

  /** On a connection of its own, so that a large fan-out does not delay it. */
  cardCache() {
    const cache = createRedisCardCache({ client: openRedis(this.#redis(), this.#logger) });
    return this.#closing(cache, () => cache.close());
  }

  /** On a connection of their own, so that a large fan-out does not delay them. */
  rateLimits(): RateLimits {
    const client = openRedis(this.#redis(), this.#logger);
    this.#opened.push(() => closeRedis(client));
    const scale = this.#config.RATE_LIMIT_SCALE;
    return createRateLimits({ logger: this.#logger, scale, store: redisRateStore(client) });
  }

  store() {
    const config = this.#config;
    const store = openS3Store({
      region: config.S3_REGION,
      bucket: config.S3_BUCKET,
      credentials: {
        accessKeyId: config.S3_ACCESS_KEY_ID,
        secretAccessKey: config.S3_SECRET_ACCESS_KEY,
      },
      forcePathStyle: config.S3_ENDPOINT !== undefined,
      ...(config.S3_ENDPOINT && { endpoint: config.S3_ENDPOINT }),
      ...(config.S3_PUBLIC_ENDPOINT && { publicEndpoint: config.S3_PUBLIC_ENDPOINT }),
    });
    return this.#closing(store, () => store.close());
  }

  edge(): EdgeCache {
    const purgeUrl = this.#config.CDN_PURGE_URL;
    return purgeUrl === undefined ? noEdgeCache : createNginxEdge({ purgeUrl });
  }

  /** The identity store, and what is made of it and the server's secrets. */
  async identity() {
    const sql = await openPostgres({ url: this.#config.POSTGRES_URL });
    const identity = await openPostgresIdentity(sql);
    this.#opened.push(() => identity.closeStore());
    const [first, ...older] = this.#config.SERVER_SECRETS.map((text) =>
      Uint8Array.fromBase64(text)
    );
    if (!first) throw new Error("there is no server secret");
    const accessTokens = await AccessTokens.create({ secrets: [first, ...older], issuer });
    return {
      identity,
      accessTokens,
      sessions: new Sessions({ identity, accessTokens }),
      sealer: new AccountSealer({ identity }),
      answerSeal: await AnswerSeal.derive(first),
      requestDigest: await RequestDigest.derive(first),
    };
  }

  async close(): Promise<void> {
    for (const close of this.#opened.splice(0).reverse()) await close();
  }

  #redis() {
    const { REDIS_URL, REDIS_CLUSTER_NODES } = this.#config;
    return REDIS_URL === undefined ? { nodes: REDIS_CLUSTER_NODES } : { url: REDIS_URL };
  }

  #closing<T>(engine: T, close: () => Promise<unknown>): T {
    this.#opened.push(close);
    return engine;
  }
}
