-- Opaque access tokens. hash is the base64url SHA-256 of the token, claims a JSON object, expires unix milliseconds. The other columns
-- are those of the claims by which a token can be denied.

CREATE TABLE opaque (
	hash TEXT NOT NULL PRIMARY KEY,
	claims TEXT NOT NULL,
	expires BIGINT NOT NULL,
	issuer TEXT NOT NULL,
	id TEXT NOT NULL,
	family TEXT NOT NULL,
	project TEXT NOT NULL,
	subject TEXT NOT NULL,
	client TEXT NOT NULL,
	epoch BIGINT NOT NULL
);

CREATE INDEX opaque_expires ON opaque (expires);
