import { createMemoryCardCache } from "../card-cache/memory.ts";
import { noEdgeCache } from "../edge-cache/none.ts";
import { observed } from "../event-log/observed.ts";
import { openSqliteLog } from "../event-log/sqlite.ts";
import { createMemoryFeedCaches } from "../feed-cache/memory.ts";
import { RequestDigest } from "../http/request-digest.ts";
import { AnswerSeal } from "../identity/answer-seal.ts";
import { AccountSealer } from "../identity/sealing.ts";
import { Sessions } from "../identity/sessions.ts";
import { openSqliteIdentity } from "../identity/sqlite.ts";
import { AccessTokens } from "../identity/tokens.ts";
import { cdnHandler } from "../object-store/cdn.ts";
import { localEndpoint } from "../object-store/endpoint.ts";
import { openLocalStore } from "../object-store/local.ts";
import { FolderUnreadable, openPglite } from "../sql/pglite.ts";
import type { Sql } from "../sql/port.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Config } from "./config.ts";
import type { Engines } from "./engines.ts";
import { foldersIn } from "./folders.ts";
import { openImages } from "./images.ts";
import { keptSecrets } from "./secrets.ts";

export { FolderInUse } from "../sql/pglite.ts";

/** Engines that live in this process, with the HTTP endpoints that S3 and a CDN would have. */
export interface EmbeddedEngines extends Engines {
  /** Takes presigned PUTs under `/store/`. */
  readonly storeEndpoint: (request: Request) => Promise<Response>;
  /** Serves variants under `/cdn/`. */
  readonly cdn: (request: Request) => Promise<Response>;
}

export async function openEmbedded(
  config: Config,
  baseUrl: string,
  logger: Logger,
): Promise<EmbeddedEngines> {
  const { folders, logFile, identityFile } = foldersIn(config.DATA_DIR);
  const opened: (() => Promise<void>)[] = [];
  const open = async <T>(engine: Promise<T>, close: (engine: T) => Promise<void>): Promise<T> => {
    const value = await engine;
    opened.push(() => close(value));
    return value;
  };
  const close = async () => {
    for (const end of opened.splice(0).reverse()) await end();
  };
  try {
    for (const folder of Object.values(folders)) {
      await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    }
    const secrets = await keptSecrets(folders.identity);
    const serverSecret = Uint8Array.fromBase64(secrets.serverSecret);
    const sql = await open(openReadModel(folders.readModel, logger), (sql) => sql.close());
    const log = await open(
      openSqliteLog({ path: logFile }),
      (log) => log.close(),
    );
    const identity = await open(
      openSqliteIdentity({ path: identityFile }),
      (identity) => identity.closeStore(),
    );
    const store = await open(
      openLocalStore({
        folder: folders.objects,
        bucket: "shutterlog",
        endpoint: `${baseUrl}/store`,
        region: "local",
        ...secrets.objectStore,
      }),
      (store) => store.close(),
    );
    const feedCaches = await open(
      Promise.resolve(createMemoryFeedCaches()),
      (caches) => caches.close(),
    );
    const cardCache = await open(
      Promise.resolve(createMemoryCardCache()),
      (cache) => cache.close(),
    );
    const images = await open(
      Promise.resolve(openImages(config, logger)),
      (images) => images.close(),
    );
    const accessTokens = await AccessTokens.create({ secrets: [serverSecret], issuer });
    return {
      log: observed(log, "sqlite"),
      sql,
      feedCaches,
      cardCache,
      store,
      edge: noEdgeCache,
      identity,
      sessions: new Sessions({ identity, accessTokens }),
      accessTokens,
      sealer: new AccountSealer({ identity }),
      answerSeal: await AnswerSeal.derive(serverSecret),
      requestDigest: await RequestDigest.derive(serverSecret),
      images,
      storeEndpoint: localEndpoint(store),
      cdn: cdnHandler(store, "/cdn"),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Not a URL of this process: a token must outlive a restart on another port. */
const issuer = "urn:shutterlog:embedded";

/** A read model that cannot be opened is set aside: the log fills a new one. */
async function openReadModel(folder: string, logger: Logger): Promise<Sql> {
  try {
    return await openPglite({ folder });
  } catch (error) {
    if (!(error instanceof FolderUnreadable)) throw error;
    const aside = `${folder}.unreadable-${Date.now()}`;
    logger.warn("the read model cannot be opened; it is set aside and made again from the log", {
      folder,
      aside,
      error: error.message,
    });
    await Deno.rename(folder, aside);
    return await openPglite({ folder });
  }
}
