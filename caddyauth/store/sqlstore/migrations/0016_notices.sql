-- What clients have yet to be told of sign-ins that ended (OpenID Connect Back-Channel Logout). session is the `sid` of the client's ID
-- tokens, due is when the notice is tried next, expires when it is forgotten; times are unix milliseconds.
CREATE TABLE logout_notice (
	client TEXT NOT NULL,
	session TEXT NOT NULL,
	project TEXT NOT NULL,
	subject TEXT NOT NULL,
	attempts BIGINT NOT NULL,
	due BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	PRIMARY KEY (client, session)
);

CREATE INDEX logout_notice_due ON logout_notice (due);
