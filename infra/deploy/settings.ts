import { partitionCount } from "../../domain/event.ts";

/**
 * What the stack is made of: versions, ports and server settings. `scripts/stack/` starts local servers
 * from this; `compose.yaml` says the same for Docker, and `scripts/stack/compose_test.ts` holds it to it.
 */

/** A server's version here, and the image that carries the same one. */
export const versions = {
  deno: { version: "2.9.6", image: "denoland/deno:2.9.6" },
  kafka: { version: "4.1.1", image: "apache/kafka:4.1.1" },
  postgres: { version: "15", image: "postgres:15-bookworm" },
  redis: { version: "7.0", image: "redis:7.0-bookworm" },
  versitygw: { version: "1.7.0", image: "versity/versitygw:v1.7.0" },
  nginx: { version: "1.22", image: "nginx:1.22" },
  prometheus: { version: "2.42", image: "prom/prometheus:v2.42.0" },
  grafana: { version: "11.6.0", image: "grafana/grafana:11.6.0" },
  jaeger: { version: "2.5.0", image: "jaegertracing/jaeger:2.5.0" },
} as const;

/**
 * Where everything listens on this machine. They keep clear of the ports that Debian's own services
 * take as soon as they are installed (5432, 6379, 80), and of the embedded run's 8000.
 */
export const ports = {
  kafka: [9092, 9094, 9096],
  kafkaController: [9093, 9095, 9097],
  postgres: 5442,
  postgresReplica: [5443],
  redisCluster: [7001, 7002, 7003, 7004, 7005, 7006],
  redisClusterBus: [17001, 17002, 17003, 17004, 17005, 17006],
  redisSingle: 6380,
  s3: 9000,
  gateway: 8080,
  cdn: 8081,
  /** Of the CDN, for purges; never published. */
  cdnPurge: 8082,
  /** Where the gateway looks for the roles that `deno task commands` and `queries` run. */
  commands: [8101, 8102],
  queries: [8201, 8202],
} as const;

/** Of what watches the stack, in Docker alone. 9090 is taken where Debian's Prometheus is installed. */
export const watchingPorts = {
  prometheus: 9190,
  grafana: 3000,
  jaeger: 16686,
  otlp: 4318,
} as const;

/** The same in every environment of development; production sets its own (see .env.example). */
export const development = {
  postgres: { user: "shutterlog", password: "shutterlog", database: "shutterlog" },
  replication: { user: "replicator", password: "replicator" },
  s3: {
    accessKeyId: "shutterlog",
    secretAccessKey: "shutterlog-development",
    region: "us-east-1",
    bucket: "shutterlog",
    /** Whose pages may PUT photographs into the bucket. */
    corsOrigins: ["*"],
  },
} as const;

/** Partitions of a topic, and the copies of each that a cluster of three keeps. */
export const topicSettings = {
  partitions: partitionCount,
  replicationFactor: 3,
  minimumInSync: 2,
} as const;

/**
 * Kafka's, beside addresses and folders. An acknowledged record is on two disks of three, is never
 * compacted away and never expires; topics exist because the product made them, not because a name
 * was mistyped. On fewer than three brokers every internal topic must fit on what there is, or
 * consumers wait for ever without a word.
 */
export function kafkaSettings(brokers: number): Readonly<Record<string, string>> {
  const copies = Math.min(topicSettings.replicationFactor, brokers);
  const inSync = Math.min(topicSettings.minimumInSync, copies);
  return {
    "auto.create.topics.enable": "false",
    "num.partitions": String(topicSettings.partitions),
    "default.replication.factor": String(copies),
    "min.insync.replicas": String(inSync),
    "unclean.leader.election.enable": "false",
    "log.cleanup.policy": "delete",
    "log.retention.ms": "-1",
    // Records of 1 MiB, with the batch around them.
    "message.max.bytes": "2097152",
    "replica.fetch.max.bytes": "2097152",
    "offsets.topic.num.partitions": "16",
    "offsets.topic.replication.factor": String(copies),
    "transaction.state.log.num.partitions": "16",
    "transaction.state.log.replication.factor": String(copies),
    "transaction.state.log.min.isr": String(inSync),
    "share.coordinator.state.topic.num.partitions": "16",
    "share.coordinator.state.topic.replication.factor": String(copies),
    "share.coordinator.state.topic.min.isr": String(inSync),
    "group.initial.rebalance.delay.ms": "0",
  };
}

/** Of a broker's JVM. */
export const kafkaHeap = "-Xms256m -Xmx512m";

/**
 * PostgreSQL's; a replica's must not be smaller than its primary's. Locks suffice for a rebuild that
 * touches all 32 partitions of several tables in one transaction, and a replica that has been away
 * finds the log it needs up to the slot's limit.
 */
export const postgresSettings = {
  wal_level: "replica",
  max_wal_senders: "10",
  max_replication_slots: "10",
  max_slot_wal_keep_size: "2GB",
  hot_standby: "on",
  hot_standby_feedback: "on",
  max_connections: "200",
  max_locks_per_transaction: "256",
  shared_buffers: "128MB",
  max_wal_size: "1GB",
} as const;

/** Every byte of it can be made again from PostgreSQL, so Redis keeps nothing on disk. */
export const redisSettings = {
  save: "",
  appendonly: "no",
  maxmemory: "256mb",
  "maxmemory-policy": "allkeys-lfu",
} as const;

/** A lost third of the feeds must not take the other two thirds with it. */
export const redisClusterSettings = {
  "cluster-enabled": "yes",
  "cluster-node-timeout": "5000",
  "cluster-require-full-coverage": "no",
} as const;

/**
 * versitygw's environment where it tells Kafka what is put into it. It does so with a test message
 * first, and ends when that fails: Kafka and the topic must be there when it starts. From then on it
 * fires and forgets.
 * @param broker one, `host:port`: it takes no list.
 * @param filter the path of `s3/notifications.json`
 */
export function s3Notifications(broker: string, topic: string, filter: string) {
  return {
    VGW_EVENT_KAFKA_URL: broker,
    VGW_EVENT_KAFKA_TOPIC: topic,
    VGW_EVENT_FILTER: filter,
  };
}

/** versitygw's flags before its backend's name. */
export const s3Flags = ["--keep-alive", "--quiet", "--health", "/healthz"] as const;
