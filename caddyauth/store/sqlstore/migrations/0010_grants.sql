-- What a grant to a relying party knows: the session it was granted under ('' for none), how and when the person signed in, the
-- thumbprint of the key it is bound to, whether it outlives the session, and the claims that were asked for. auth_time is in unix
-- milliseconds, 0 where it is not known; amr is a JSON list.
ALTER TABLE grants ADD COLUMN parent TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN auth_time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN amr TEXT NOT NULL DEFAULT 'null';
ALTER TABLE grants ADD COLUMN jkt TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN offline BIGINT NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN claims_request TEXT NOT NULL DEFAULT '';

CREATE INDEX grants_parent ON grants (parent) WHERE parent <> '';
