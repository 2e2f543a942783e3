-- The read model. Rows are never removed, only marked: a deleted post must stay known, or the
-- re-delivery of its creation would bring it back. There are no foreign keys, since the rows of
-- different aggregates arrive in any order. Entity ids are UUIDv7: ordering by id is ordering by time.
-- What is closed or deleted keeps its ids and times and loses its text.

CREATE TABLE read_model.accounts (
  account_id uuid PRIMARY KEY,
  -- Text columns are null once their owner's key is gone, or the account closed.
  handle text,
  handle_key text,
  display_name text,
  bio text,
  avatar_media_id uuid,
  -- Null while only later facts of the account have arrived.
  registered_at timestamptz,
  closed_at timestamptz
);
CREATE INDEX ON read_model.accounts (handle_key);

CREATE TABLE read_model.account_counts (
  account_id uuid PRIMARY KEY,
  post_count bigint NOT NULL DEFAULT 0,
  follower_count bigint NOT NULL DEFAULT 0,
  following_count bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- follow_id is the id of the AccountFollowed event: lists of followers are in its order.
CREATE TABLE read_model.follows (
  follower_id uuid NOT NULL,
  followee_id uuid NOT NULL,
  follow_id uuid NOT NULL,
  PRIMARY KEY (follower_id, followee_id)
);
CREATE INDEX ON read_model.follows (followee_id, follow_id DESC) INCLUDE (follower_id);
CREATE INDEX ON read_model.follows (follower_id, follow_id DESC) INCLUDE (followee_id);

-- block_id is the id of the AccountBlocked event.
CREATE TABLE read_model.blocks (
  blocker_id uuid NOT NULL,
  blocked_id uuid NOT NULL,
  block_id uuid NOT NULL,
  PRIMARY KEY (blocker_id, blocked_id)
);
CREATE INDEX ON read_model.blocks (blocked_id, blocker_id);

CREATE TABLE read_model.posts (
  author_id uuid NOT NULL,
  post_id uuid NOT NULL,
  media_ids uuid[] NOT NULL,
  caption text,
  alt_texts jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  deleted_at timestamptz,
  PRIMARY KEY (author_id, post_id)
) PARTITION BY HASH (author_id);

-- A post's id leads to its author's partition.
CREATE TABLE read_model.post_authors (
  post_id uuid NOT NULL PRIMARY KEY,
  author_id uuid NOT NULL
) PARTITION BY HASH (post_id);

CREATE TABLE read_model.post_counts (
  post_id uuid NOT NULL PRIMARY KEY,
  like_count bigint NOT NULL DEFAULT 0,
  comment_count bigint NOT NULL DEFAULT 0
) PARTITION BY HASH (post_id);

-- like_id is the id of the PostLiked event: the newest like first.
CREATE TABLE read_model.likes (
  post_id uuid NOT NULL,
  account_id uuid NOT NULL,
  like_id uuid NOT NULL,
  PRIMARY KEY (post_id, account_id)
) PARTITION BY HASH (post_id);
CREATE INDEX ON read_model.likes (post_id, like_id DESC);
CREATE INDEX ON read_model.likes (account_id);

CREATE TABLE read_model.comments (
  post_id uuid NOT NULL,
  comment_id uuid NOT NULL,
  author_id uuid NOT NULL,
  body text,
  created_at timestamptz NOT NULL,
  deleted_at timestamptz,
  PRIMARY KEY (post_id, comment_id)
) PARTITION BY HASH (post_id);
CREATE INDEX ON read_model.comments (author_id);

-- The ids of events that left no row of their own by which a second append of them would be known:
-- follows, blocks and likes that no longer stand, what ended them, changes of profiles and captions.
CREATE TABLE read_model.seen_events (
  event_id uuid PRIMARY KEY
);

DO $$
DECLARE
  parent text;
BEGIN
  FOREACH parent IN ARRAY ARRAY['posts', 'post_authors', 'post_counts', 'likes', 'comments'] LOOP
    FOR part IN 0..31 LOOP
      EXECUTE format(
        'CREATE TABLE read_model.%I PARTITION OF read_model.%I FOR VALUES WITH (MODULUS 32, REMAINDER %s)',
        parent || '_' || part, parent, part
      );
    END LOOP;
  END LOOP;
END
$$;
