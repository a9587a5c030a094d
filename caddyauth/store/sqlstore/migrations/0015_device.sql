-- Requests of devices without a browser. hash is the base64url SHA-256 of the device code, user_code what the person types in, in its
-- canonical form. state is pending, approved, denied or used; the columns from subject on are of the person who decided. granted is
-- the grant that it became. until is for how long the row is of use. Times are unix milliseconds, zero for never; intervals are
-- milliseconds; lists are JSON.
CREATE TABLE device (
	hash TEXT NOT NULL PRIMARY KEY,
	user_code TEXT NOT NULL UNIQUE,
	client TEXT NOT NULL,
	project TEXT NOT NULL,
	scopes TEXT NOT NULL,
	audience TEXT NOT NULL,
	jkt TEXT NOT NULL,
	client_ip TEXT NOT NULL,
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	interval_ms BIGINT NOT NULL,
	polled BIGINT NOT NULL,
	state TEXT NOT NULL,
	subject TEXT NOT NULL,
	account TEXT NOT NULL,
	session TEXT NOT NULL,
	session_ends BIGINT NOT NULL,
	auth_time BIGINT NOT NULL,
	acr TEXT NOT NULL,
	amr TEXT NOT NULL,
	epoch BIGINT NOT NULL,
	granted TEXT NOT NULL,
	until BIGINT NOT NULL
);

CREATE INDEX device_until ON device (until);
