-- Authorization codes, and the requests that clients push beforehand. Times are unix milliseconds, zero for never; lists are JSON.

-- hash is the base64url SHA-256 of the code. granted is the grant that it bought, and until is for how long the row is of use: a code that
-- was used is known for as long as what it bought can live. session is the grant of the sign-in under which it was issued.
CREATE TABLE code (
	hash TEXT NOT NULL PRIMARY KEY,
	client TEXT NOT NULL,
	project TEXT NOT NULL,
	subject TEXT NOT NULL,
	account TEXT NOT NULL,
	redirect_uri TEXT NOT NULL,
	redirect_sent BIGINT NOT NULL,
	challenge TEXT NOT NULL,
	nonce TEXT NOT NULL,
	scopes TEXT NOT NULL,
	audience TEXT NOT NULL,
	claims TEXT NOT NULL,
	jkt TEXT NOT NULL,
	session TEXT NOT NULL,
	auth_time BIGINT NOT NULL,
	acr TEXT NOT NULL,
	amr TEXT NOT NULL,
	device TEXT NOT NULL,
	client_ip TEXT NOT NULL,
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	epoch BIGINT NOT NULL,
	used BIGINT NOT NULL,
	granted TEXT NOT NULL,
	until BIGINT NOT NULL
);

CREATE INDEX code_until ON code (until);
CREATE INDEX code_unused ON code (project, subject) WHERE used = 0;

-- hash is that of the reference in the request_uri, used_by the hash of the code that completed the request, empty until then.
CREATE TABLE pushed_request (
	hash TEXT NOT NULL PRIMARY KEY,
	client TEXT NOT NULL,
	parameters TEXT NOT NULL,
	expires BIGINT NOT NULL,
	used_by TEXT NOT NULL
);

CREATE INDEX pushed_request_expires ON pushed_request (expires);
