-- One row per medium: what a client needs to show it. Rebuilt whole when the CDN's host changes.
CREATE TABLE manifests.media (
  media_id uuid PRIMARY KEY,
  owner_id uuid NOT NULL,
  status text NOT NULL CHECK (status IN ('processing', 'ready', 'rejected', 'purged')),
  -- The version of the recipe that made the variants; 0 while there are none.
  recipe integer NOT NULL,
  -- The medium as http.md's answers show it, without altText, as JSON text in its final byte order.
  manifest text NOT NULL
);
CREATE INDEX ON manifests.media (owner_id);
