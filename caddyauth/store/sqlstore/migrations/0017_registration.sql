-- Clients that registered themselves, and those of metadata documents, beside their rows in `client`; source is that of
-- clients.Settings. fingerprint is the same for
-- registrations that get the same client, and the id of a client that is nobody else's. token is the base64url SHA-256 of the
-- registration access token, '' for none. Times are unix milliseconds: used is the last use that was noted, fresh is until when the
-- copy of a document holds, zero for registered clients.
CREATE TABLE registration (
	client TEXT NOT NULL PRIMARY KEY,
	source TEXT NOT NULL,
	fingerprint TEXT NOT NULL UNIQUE,
	token TEXT NOT NULL,
	used BIGINT NOT NULL,
	fresh BIGINT NOT NULL
);

CREATE INDEX registration_used ON registration (source, used);
