-- How far each partition of a lane has been worked off. To lose it is to do it all again, no more.
CREATE TABLE lanes.cursors (
  topic text NOT NULL,
  partition integer NOT NULL,
  next_offset bigint NOT NULL DEFAULT 0,
  -- Who visits a partition puts this ahead first, by which the others keep away.
  visit_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, partition)
);
