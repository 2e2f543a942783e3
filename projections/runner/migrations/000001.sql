-- What the runner itself remembers. Never rebuilt with a projection: it says how far each one is.
CREATE SCHEMA IF NOT EXISTS projections;

-- The offset each projection reads next. Written by compare-and-set in the batch's own transaction.
CREATE TABLE projections.checkpoints (
  projection text NOT NULL,
  version integer NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  next_offset bigint NOT NULL,
  PRIMARY KEY (projection, version, topic, partition)
);

-- Which version of each projection answers queries.
CREATE TABLE projections.live (
  projection text PRIMARY KEY,
  version integer NOT NULL
);

-- Records that could not be applied, and every later one of their key, in order.
CREATE TABLE projections.dead_letters (
  projection text NOT NULL,
  version integer NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  record_offset bigint NOT NULL,
  key text NOT NULL,
  category text NOT NULL,
  message text NOT NULL,
  parked_at timestamptz NOT NULL,
  PRIMARY KEY (projection, version, topic, partition, record_offset)
);
CREATE INDEX ON projections.dead_letters (projection, version, topic, key);
