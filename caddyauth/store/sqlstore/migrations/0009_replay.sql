-- What was used and may not be used again. key is a base64url SHA-256, until unix milliseconds.

CREATE TABLE replay (
	key TEXT NOT NULL PRIMARY KEY,
	until BIGINT NOT NULL
);

CREATE INDEX replay_until ON replay (until);
