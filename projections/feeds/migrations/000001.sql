-- What the feeds projection must remember between two batches. It speaks of what cached feeds hold,
-- not of what the log says, so it is no part of the read model and is not rebuilt with it: a read
-- model that was made anew finds here who is pulled, whatever it would decide by itself.
-- Losing it does no harm, since every cached feed names the authors it needs.

-- Authors whose posts may be left to readers.
CREATE TABLE feeds.pulled_authors (
  author_id uuid PRIMARY KEY,
  -- The fan-out that names the author in the cached feeds of all followers. Until it is through, and
  -- this null, the author's posts are pushed as before.
  announced_by uuid
);

-- What is still to be said to an author's followers, slice by slice.
CREATE TABLE feeds.fan_outs (
  -- The post's id; of an announcement, a drawn one.
  fan_out_id uuid PRIMARY KEY,
  author_id uuid NOT NULL,
  -- push: here is a post. pull: from now on read the author's own list.
  kind text NOT NULL CHECK (kind IN ('push', 'pull')),
  -- Those whose follow has this id, or a higher one, have been told.
  before uuid NOT NULL,
  -- Whoever has waited longest comes next.
  served_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- A process is at work on a slice of it, or was killed over it.
  taken_until timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE INDEX ON feeds.fan_outs (served_at);
CREATE INDEX ON feeds.fan_outs (author_id);
