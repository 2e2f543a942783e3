import type { CardCache } from "../card-cache/port.ts";
import type { EdgeCache } from "../edge-cache/port.ts";
import type { EventLog } from "../event-log/port.ts";
import type { FeedCaches } from "../feed-cache/port.ts";
import type { RequestDigest } from "../http/request-digest.ts";
import type { AnswerSeal } from "../identity/answer-seal.ts";
import type { Identity } from "../identity/port.ts";
import type { AccountSealer } from "../identity/sealing.ts";
import type { Sessions } from "../identity/sessions.ts";
import type { AccessTokens } from "../identity/tokens.ts";
import type { ImageProcessor } from "../images/port.ts";
import type { ObjectStore } from "../object-store/port.ts";
import type { Sql } from "../sql/port.ts";

/** Every engine the product runs on, behind its port. */
export interface Engines {
  readonly log: EventLog;
  readonly sql: Sql;
  readonly feedCaches: FeedCaches;
  readonly cardCache: CardCache;
  readonly store: ObjectStore;
  readonly edge: EdgeCache;
  readonly identity: Identity;
  readonly sessions: Sessions;
  readonly accessTokens: AccessTokens;
  readonly sealer: AccountSealer;
  readonly answerSeal: AnswerSeal;
  readonly requestDigest: RequestDigest;
  readonly images: ImageProcessor;
  close(): Promise<void>;
}
