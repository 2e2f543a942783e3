import { Admin, ConfigResourceTypes, metadataV12 } from "@platformatic/kafka";
import { maximumRecordBytes, TopicMismatch, type TopicProblem, type TopicSpec } from "../port.ts";
import { askingInTurn, type Brokers, type ClientOptions, connectionOptions } from "./brokers.ts";
import { isProtocolError, untilAvailable } from "./patience.ts";

export interface Durability {
  /** Copies of each partition. */
  readonly replicationFactor: number;
  /** How many of them must have a record before it is acknowledged. */
  readonly minInsyncReplicas: number;
}

/**
 * What makes a topic fit to be the only source of truth: nothing in it is ever replaced, or removed
 * before its time.
 */
export function requiredSettings(
  { minInsyncReplicas }: Durability,
  { retentionMs = -1 }: Pick<TopicSpec, "retentionMs"> = {},
): Record<string, string> {
  return {
    "cleanup.policy": "delete",
    "retention.ms": `${retentionMs}`,
    "retention.bytes": "-1",
    "min.insync.replicas": `${minInsyncReplicas}`,
    // The largest record, and 4 KiB for the batch around it.
    "max.message.bytes": `${maximumRecordBytes + 4 * 1024}`,
    "message.timestamp.type": "CreateTime",
    "unclean.leader.election.enable": "false",
  };
}

/** A topic as it is. */
export interface ActualTopic {
  readonly partitions: number;
  /** The fewest copies that any of its partitions has. */
  readonly replicas: number;
  readonly settings: Readonly<Record<string, string | null>>;
}

/** @throws {TopicMismatch} naming the first setting that differs, and what mends it. */
export function assertTopic(
  spec: TopicSpec,
  actual: ActualTopic,
  durability: Durability,
  brokers: readonly string[],
): void {
  const server = `--bootstrap-server ${brokers.join(",")}`;
  if (actual.partitions !== spec.partitions && !spec.anyNumber) {
    throw new TopicMismatch(
      `the topic ${spec.name} has ${actual.partitions} partitions, not ${spec.partitions}. That cannot ` +
        `be mended in place, since keys would move: copy it to a new topic, or configure ` +
        `${actual.partitions}`,
    );
  }
  if (actual.replicas < durability.replicationFactor) {
    throw new TopicMismatch(
      `the topic ${spec.name} has a replication factor of ${actual.replicas}, not ` +
        `${durability.replicationFactor}. Mend it with: kafka-reassign-partitions.sh ${server} ` +
        `--reassignment-json-file more-replicas.json --execute`,
    );
  }
  for (const [setting, value] of Object.entries(requiredSettings(durability, spec))) {
    const found = actual.settings[setting];
    if (found === value) continue;
    throw new TopicMismatch(
      `the topic ${spec.name} has ${setting}=${found ?? ""}, not ${value}. Mend it with: ` +
        `kafka-configs.sh ${server} --alter --entity-type topics --entity-name ${spec.name} ` +
        `--add-config ${setting}=${value}`,
    );
  }
}

/** Creates the topics that do not exist and asserts those that do. */
export async function ensureTopics(
  specs: readonly TopicSpec[],
  durability: Durability,
  options: ClientOptions,
  brokers: Brokers,
): Promise<void> {
  const admin = askingInTurn(new Admin(connectionOptions(options)));
  try {
    for (const spec of specs) {
      const actual = await untilAvailable(`ensuring the topic ${spec.name}`, async () => {
        await create(admin, spec, durability);
        await known(spec.name, brokers);
        return await describe(admin, spec.name, brokers);
      });
      assertTopic(spec, actual, durability, options.brokers);
    }
  } finally {
    await admin.close();
  }
}

/** What `ensureTopics` would create or refuse. */
export async function inspectTopics(
  specs: readonly TopicSpec[],
  durability: Durability,
  options: ClientOptions,
  brokers: Brokers,
): Promise<TopicProblem[]> {
  const admin = askingInTurn(new Admin(connectionOptions(options)));
  const problems: TopicProblem[] = [];
  let absent = true;
  try {
    for (const spec of specs) {
      try {
        absent = true;
        await brokers.partitions(spec.name);
        absent = false;
        const actual = await untilAvailable(
          `describing the topic ${spec.name}`,
          () => describe(admin, spec.name, brokers),
        );
        assertTopic(spec, actual, durability, options.brokers);
      } catch (error) {
        if (!(error instanceof TopicMismatch)) throw error;
        problems.push({ topic: spec.name, absent, message: error.message });
      }
    }
  } finally {
    await admin.close();
  }
  return problems;
}

async function create(admin: Admin, spec: TopicSpec, durability: Durability): Promise<void> {
  const settings = Object.entries(requiredSettings(durability, spec));
  try {
    await admin.createTopics({
      topics: [spec.name],
      partitions: spec.partitions,
      replicas: durability.replicationFactor,
      configs: settings.map(([name, value]) => ({ name, value })),
    });
  } catch (error) {
    if (!isProtocolError(error, "TOPIC_ALREADY_EXISTS")) throw error;
  }
}

async function describe(admin: Admin, name: string, brokers: Brokers): Promise<ActualTopic> {
  const [described] = await admin.describeConfigs({
    resources: [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: name }],
  });
  const topic = (await brokers.metadata([name], true)).topics.get(name);
  return {
    partitions: topic?.partitionsCount ?? 0,
    replicas: Math.min(...topic?.partitions.map(({ replicas }) => replicas.length) ?? [0]),
    settings: Object.fromEntries(
      described?.configs.map(({ name, value }) => [name, value ?? null]) ?? [],
    ),
  };
}

/** Resolves when each broker that is up knows the topic and its leaders: whichever is asked next. */
async function known(name: string, brokers: Brokers): Promise<void> {
  const metadata = await brokers.metadata([], true);
  await Promise.all([...metadata.brokers.keys()].map(async (node) => {
    await metadataV12.api.async(await brokers.connection(node), [name], false, false);
  }));
}
