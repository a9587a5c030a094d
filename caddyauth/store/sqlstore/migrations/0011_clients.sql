-- Clients of the authorization server. `secrets` is a JSON list, '' for none; `settings` is the JSON object of clients.Settings,
-- '' where a client says nothing. Lifetimes of codes and ID tokens are milliseconds, zero to inherit; those of the kind `own_` were
-- set through the API.
ALTER TABLE client ADD COLUMN secrets TEXT NOT NULL DEFAULT '';
UPDATE client SET secrets = '[{"number":1,"hash":"' || secret_hash || '"}]' WHERE secret_hash <> '';
ALTER TABLE client DROP COLUMN secret_hash;
ALTER TABLE client ADD COLUMN settings TEXT NOT NULL DEFAULT '';
ALTER TABLE client ADD COLUMN code BIGINT NOT NULL DEFAULT 0;
ALTER TABLE client ADD COLUMN device_code BIGINT NOT NULL DEFAULT 0;
ALTER TABLE client ADD COLUMN id_token BIGINT NOT NULL DEFAULT 0;
ALTER TABLE client ADD COLUMN own_code BIGINT NOT NULL DEFAULT 0;
ALTER TABLE client ADD COLUMN own_device_code BIGINT NOT NULL DEFAULT 0;
ALTER TABLE client ADD COLUMN own_id_token BIGINT NOT NULL DEFAULT 0;

ALTER TABLE project ADD COLUMN code BIGINT NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN device_code BIGINT NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN id_token BIGINT NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN own_code BIGINT NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN own_device_code BIGINT NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN own_id_token BIGINT NOT NULL DEFAULT 0;
