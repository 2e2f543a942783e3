import { versions } from "../../infra/deploy/settings.ts";
import { fetchedKafka, fetchedVersitygw } from "./downloads.ts";
import { findPostgres } from "./postgres.ts";
import { find, ServerFailed } from "./process.ts";

/** A kind of server that the stack can run. */
export const kinds = ["kafka", "postgres", "redis", "redis-single", "s3", "nginx"] as const;
export type Kind = typeof kinds[number];
/** What a program is needed for: `tests` and `monitoring` are programs that some tests run. */
export type Purpose = Kind | "tests" | "monitoring";

export interface Missing {
  /** `Kafka 4.1.1` */
  readonly name: string;
  /** The command that brings it. */
  readonly install: string;
}

interface Need extends Missing {
  for: readonly Purpose[];
  /** Rejects with ServerFailed when it is missing. */
  look(): Promise<unknown>;
}

/** What `stack install` fetches where there is Maven or Go. */
const fetchAll = "deno task stack install";

/** Debian's packages go into one command. */
export function aptLine(packages: readonly string[]): string {
  return `sudo apt-get install --yes --no-install-recommends ${packages.join(" ")}`;
}

interface Package extends Omit<Need, "install"> {
  readonly package: string;
}

const packages: readonly Package[] = [
  {
    name: "Java 17",
    package: "openjdk-17-jre-headless",
    for: ["kafka"],
    look: () => find("java"),
  },
  {
    name: `PostgreSQL ${versions.postgres.version}`,
    package: "postgresql",
    for: ["postgres"],
    look: findPostgres,
  },
  {
    name: `Redis ${versions.redis.version}`,
    package: "redis-server",
    for: ["redis", "redis-single"],
    look: () => find("redis-server"),
  },
  {
    name: `nginx ${versions.nginx.version}`,
    package: "nginx",
    for: ["nginx"],
    look: () => find("nginx"),
  },
  { name: "kcat", package: "kcat", for: ["tests"], look: () => find("kcat") },
  { name: "Chromium", package: "chromium", for: ["tests"], look: () => find("chromium") },
  {
    name: `Prometheus ${versions.prometheus.version}`,
    package: "prometheus",
    for: ["monitoring"],
    look: () => find("promtool"),
  },
];

const needs: readonly Need[] = [
  ...packages.map((need) => ({ ...need, install: aptLine([need.package]) })),
  {
    name: `Kafka ${versions.kafka.version}`,
    install: fetchAll,
    for: ["kafka"],
    look: fetchedKafka,
  },
  {
    name: `versitygw ${versions.versitygw.version}`,
    install: fetchAll,
    for: ["s3"],
    look: fetchedVersitygw,
  },
];

/** What these lack on this machine. */
export async function missingFor(wanted: readonly Purpose[]): Promise<Missing[]> {
  return await missingOf(needs, wanted);
}

/** Debian's packages that these lack, with those that fetching them takes. */
export async function missingPackages(wanted: readonly Purpose[]): Promise<string[]> {
  const lacking: Package[] = await missingOf(packages, wanted);
  const maven = await missingOf([{
    name: "Maven",
    package: "maven",
    for: ["kafka"] as const,
    look: () => fetchedKafka().catch(() => find("mvn")),
  }], wanted);
  return [...lacking, ...maven].map((need) => need.package);
}

async function missingOf<T extends { for: readonly Purpose[]; look(): Promise<unknown> }>(
  all: readonly T[],
  wanted: readonly Purpose[],
): Promise<T[]> {
  const missing: T[] = [];
  for (const need of all) {
    if (!need.for.some((kind) => wanted.includes(kind))) continue;
    try {
      await need.look();
    } catch (error) {
      if (!(error instanceof ServerFailed)) throw error;
      missing.push(need);
    }
  }
  return missing;
}
