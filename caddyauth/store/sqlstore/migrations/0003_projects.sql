-- Projects, their clients and users, API tokens, and the audit trail. Times are unix milliseconds, zero for never; lifetimes are
-- milliseconds, zero to inherit and -1 for none; switches are 0 or 1; lists and claims are JSON. Those of the kind `own_` were
-- set through the API and go over the declared ones.

CREATE TABLE project (
	id TEXT NOT NULL PRIMARY KEY,
	slug TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL,
	active BIGINT NOT NULL,
	declared BIGINT NOT NULL,
	audiences TEXT NOT NULL,
	access BIGINT NOT NULL,
	refresh BIGINT NOT NULL,
	refresh_absolute BIGINT NOT NULL,
	own_access BIGINT NOT NULL,
	own_refresh BIGINT NOT NULL,
	own_refresh_absolute BIGINT NOT NULL,
	refresh_window BIGINT NOT NULL,
	refresh_check BIGINT NOT NULL,
	keep_refresh BIGINT NOT NULL,
	revoke_all_on_logout BIGINT NOT NULL,
	version BIGINT NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL
);

CREATE TABLE client (
	id TEXT NOT NULL PRIMARY KEY,
	project TEXT NOT NULL REFERENCES project (slug) ON DELETE CASCADE,
	name TEXT NOT NULL,
	secret_hash TEXT NOT NULL,
	access_token_format TEXT NOT NULL,
	fixed_refresh BIGINT NOT NULL,
	reuse_interval BIGINT NOT NULL,
	audience TEXT NOT NULL,
	scopes TEXT NOT NULL,
	claims TEXT NOT NULL,
	access BIGINT NOT NULL,
	refresh BIGINT NOT NULL,
	refresh_absolute BIGINT NOT NULL,
	own_access BIGINT NOT NULL,
	own_refresh BIGINT NOT NULL,
	own_refresh_absolute BIGINT NOT NULL,
	active BIGINT NOT NULL,
	declared BIGINT NOT NULL,
	version BIGINT NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL
);

CREATE INDEX client_project ON client (project, id);

-- Users; `user` is a word of PostgreSQL. canonical is the form of the name under which people are found (RFC 8265).
CREATE TABLE account (
	id TEXT NOT NULL PRIMARY KEY,
	project TEXT NOT NULL REFERENCES project (slug) ON DELETE CASCADE,
	canonical TEXT NOT NULL,
	name TEXT NOT NULL,
	password_hash TEXT NOT NULL,
	password_changed BIGINT NOT NULL,
	disabled BIGINT NOT NULL,
	declared BIGINT NOT NULL,
	claims TEXT NOT NULL,
	version BIGINT NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	UNIQUE (project, canonical)
);

CREATE INDEX account_declared ON account (declared);

-- project is empty for tokens that administer the whole server.
CREATE TABLE api_token (
	id TEXT NOT NULL PRIMARY KEY,
	hash TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL,
	project TEXT NOT NULL,
	abilities TEXT NOT NULL,
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	last_used BIGINT NOT NULL,
	revoked BIGINT NOT NULL
);

-- The ids sort by time.
CREATE TABLE audit (
	id TEXT NOT NULL PRIMARY KEY,
	at BIGINT NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	target TEXT NOT NULL,
	target_name TEXT NOT NULL,
	project TEXT NOT NULL,
	client_ip TEXT NOT NULL,
	result TEXT NOT NULL,
	detail TEXT NOT NULL
);

CREATE INDEX audit_at ON audit (at);
