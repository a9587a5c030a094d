-- What a generated key signs: access tokens, or ID tokens alone. Of the latter there is one of each algorithm.
ALTER TABLE key ADD COLUMN purpose TEXT NOT NULL DEFAULT '';

DROP INDEX key_state;
CREATE UNIQUE INDEX key_state ON key (state) WHERE state <> 'retiring' AND purpose = '';
CREATE UNIQUE INDEX key_purpose ON key (purpose, algorithm, state) WHERE state <> 'retiring' AND purpose <> '';
