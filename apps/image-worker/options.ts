import type { EventLog } from "../../infra/event-log/port.ts";
import type { ImageProcessor } from "../../infra/images/port.ts";
import type { ObjectStore } from "../../infra/object-store/port.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";

export interface ImageWorkerOptions {
  readonly log: EventLog;
  readonly store: ObjectStore;
  readonly processor: ImageProcessor;
  readonly logger: Logger;
  now(): Date;
  newId(): string;
  /** Waits out a back-off; real time when left out. */
  sleep?(milliseconds: number, signal: AbortSignal): Promise<void>;
  /** Images at a time on each lane, 2 when left out. */
  readonly concurrency?: number;
}
