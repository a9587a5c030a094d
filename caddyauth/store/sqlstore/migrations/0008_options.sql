-- What a project says about its tokens. Of these and of the switches of before, 0 and '' inherit. A switch is 1 or, for its opposite, 2;
-- a reuse interval of 0s is -1.
ALTER TABLE project ADD COLUMN access_token_format TEXT NOT NULL DEFAULT '';
ALTER TABLE project ADD COLUMN fixed_refresh BIGINT NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN reuse_interval BIGINT NOT NULL DEFAULT 0;
