-- Times are unix milliseconds.

CREATE TABLE meta (
	name TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
);

-- Generated signing keys, sealed.
CREATE TABLE key (
	id TEXT NOT NULL PRIMARY KEY,
	algorithm TEXT NOT NULL,
	created BIGINT NOT NULL,
	sealed BYTEA NOT NULL
);

-- Attempts to sign in, one row per bucket. tat is the theoretical arrival time of the generic cell rate algorithm: the moment
-- from which on the bucket is as good as new. A row of a known pair of account and address uses it as the end of its time.
CREATE TABLE throttle (
	key TEXT NOT NULL PRIMARY KEY,
	tat BIGINT NOT NULL
);

CREATE INDEX throttle_tat ON throttle (tat);
