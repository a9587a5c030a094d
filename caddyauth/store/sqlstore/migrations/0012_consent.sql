-- What people have allowed clients. scopes and resources are JSON lists, since is in unix milliseconds. A client may be one that no
-- table has, such as one that is described by a document at its address.
CREATE TABLE consent (
	id TEXT NOT NULL PRIMARY KEY,
	project TEXT NOT NULL REFERENCES project (slug) ON DELETE CASCADE,
	account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
	client TEXT NOT NULL,
	scopes TEXT NOT NULL,
	resources TEXT NOT NULL,
	since BIGINT NOT NULL,
	UNIQUE (account, client)
);

CREATE INDEX consent_client ON consent (client);
