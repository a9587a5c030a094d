-- The life cycle of generated keys. state is announced, active or retiring; since is when that began and until when it ends, in
-- unix milliseconds, 0 where that is open; longest is in milliseconds. The one key that stood signs.
ALTER TABLE key ADD COLUMN state TEXT NOT NULL DEFAULT 'active';
ALTER TABLE key ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE key ADD COLUMN until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE key ADD COLUMN longest BIGINT NOT NULL DEFAULT 0;

UPDATE key SET since = created;

CREATE UNIQUE INDEX key_state ON key (state) WHERE state <> 'retiring';

-- The version of the set of keys.
INSERT INTO counter (name, value) VALUES ('keys', 1);
