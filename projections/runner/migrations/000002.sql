-- Every version of a projection that is there. A projection has a live one, which queries follow, and
-- may have one that is being filled, and one that was live before and is kept to go back to.
CREATE TABLE projections.versions (
  projection text NOT NULL,
  version integer NOT NULL,
  -- Of the code that fills it: a process of another release leaves it alone.
  revision integer NOT NULL,
  -- filling: by a rebuild alone, from the beginning of the log.
  -- followed: projectors keep it up to date. The live one always is.
  -- kept: it stands still, at its checkpoints, until it is gone back to or dropped.
  state text NOT NULL CHECK (state IN ('filling', 'followed', 'kept')),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Of indexes that are made once the first filling is over.
  deferred_indexes text[] NOT NULL DEFAULT '{}',
  -- Who is at work on it, and until when nobody else may be: renewed while it goes on.
  taken_by uuid,
  taken_until timestamptz NOT NULL DEFAULT '-infinity',
  PRIMARY KEY (projection, version)
);
INSERT INTO projections.versions (projection, version, revision, state)
SELECT projection, version, 1, 'followed' FROM projections.live;

ALTER TABLE projections.live
  -- Counts the switches: what is cached of a projection is cached under this number.
  ADD COLUMN switches integer NOT NULL DEFAULT 0,
  -- The version that was live before, which queries may follow a little longer.
  ADD COLUMN previous integer,
  ADD COLUMN switched_at timestamptz NOT NULL DEFAULT '-infinity',
  -- Whether all who keep something of what is live have been told that it is another now.
  ADD COLUMN announced boolean NOT NULL DEFAULT true;
