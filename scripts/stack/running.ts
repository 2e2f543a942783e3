import type { Server } from "./process.ts";

/** Servers that do one thing together. */
export interface Running {
  /** In the order in which they were started. */
  readonly servers: readonly Server[];
  /** Ends all of them; no process is left. */
  stop(): Promise<void>;
}

/** What every kind of server takes to start. */
export interface Place {
  /** Made when it is not there; what lies in it from another time is taken up again. */
  readonly folder: string;
  /** As `process.ts` has it; "of its starter" when left out. */
  readonly lifetime?: "of its starter" | "until stopped";
}

/** Together: of a cluster whose nodes go one by one, the last ones wait for a quorum that is gone. */
export async function stopAll(servers: readonly Server[]): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
}

/** Starts them side by side; when one fails, none of a caller's own is left, and its reason is thrown. */
export async function startAll(servers: readonly Server[], place: Place): Promise<void> {
  const results = await Promise.allSettled(servers.map((server) => server.start()));
  const failed = results.find((result) => result.status === "rejected");
  if (!failed) return;
  if (place.lifetime !== "until stopped") await stopAll(servers);
  throw failed.reason;
}
