-- When a person first allowed a client that came by itself something, in unix milliseconds; 0: nobody has. Of clients from before this
-- column it is known only that somebody did.
ALTER TABLE registration ADD COLUMN approved BIGINT NOT NULL DEFAULT 0;

UPDATE registration SET approved = 1 WHERE EXISTS (SELECT 1 FROM consent WHERE consent.client = registration.client)
	OR EXISTS (SELECT 1 FROM grants WHERE grants.client = registration.client);
