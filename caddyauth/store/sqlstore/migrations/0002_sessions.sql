-- Times are unix milliseconds, and 0 where there is none; lifetimes are milliseconds; lists are JSON.

-- Numbers which only grow: `epoch` with each order against a user, a client or a project, `denial` with each denial. They
-- follow the clock, so that a database which was set back to an older state does not give out a number twice.
CREATE TABLE counter (
	name TEXT NOT NULL PRIMARY KEY,
	value BIGINT NOT NULL
);

INSERT INTO counter (name, value) VALUES ('epoch', 1), ('denial', 1);

-- Families of refresh tokens, one row each; "grant" is a reserved word. Nothing here makes a token without the server's secret.
CREATE TABLE grants (
	id TEXT NOT NULL PRIMARY KEY,
	seed BYTEA NOT NULL,
	project TEXT NOT NULL,
	subject TEXT NOT NULL,
	client TEXT NOT NULL,
	audience TEXT NOT NULL,
	scopes TEXT NOT NULL,
	kind TEXT NOT NULL,
	device TEXT NOT NULL,
	client_ip TEXT NOT NULL,
	generation BIGINT NOT NULL,
	repeats BIGINT NOT NULL,
	epoch BIGINT NOT NULL,
	created BIGINT NOT NULL,
	rotated BIGINT NOT NULL,
	last_used BIGINT NOT NULL,
	idle_ends BIGINT NOT NULL,
	ends BIGINT NOT NULL,
	access_until BIGINT NOT NULL,
	idle BIGINT NOT NULL,
	reuse BIGINT NOT NULL,
	fixed BIGINT NOT NULL,
	revoked BIGINT NOT NULL,
	revoked_for TEXT NOT NULL
);

CREATE INDEX grants_subject ON grants (project, subject);
CREATE INDEX grants_client ON grants (project, client);
CREATE INDEX grants_idle_ends ON grants (idle_ends);

-- What is denied although it has not expired. scope is the issuer of a token and the project of a user, client or project.
-- number is the place in the sequence by which nodes learn of it.
CREATE TABLE denial (
	kind TEXT NOT NULL,
	scope TEXT NOT NULL,
	id TEXT NOT NULL,
	epoch BIGINT NOT NULL,
	until BIGINT NOT NULL,
	number BIGINT NOT NULL,
	PRIMARY KEY (kind, scope, id)
);

CREATE UNIQUE INDEX denial_number ON denial (number);
CREATE INDEX denial_until ON denial (until);
