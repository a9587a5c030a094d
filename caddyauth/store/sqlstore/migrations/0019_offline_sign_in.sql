-- The sign-in that a grant was given under which outlives it (offline_access): clients are told of its end, and ID tokens name it. '' for
-- all other grants, and for those that are older than this column.
ALTER TABLE grants ADD COLUMN sign_in TEXT NOT NULL DEFAULT '';

CREATE INDEX grants_sign_in ON grants (sign_in) WHERE sign_in <> '';
