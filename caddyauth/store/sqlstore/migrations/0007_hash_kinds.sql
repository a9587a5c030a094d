-- What computing a password hash takes, as identity.HashKind says: everything before the salt, and nothing where there is no hash. The
-- salt and the hash behind it are letters, digits, and a few signs that no kind ends in.
ALTER TABLE account ADD COLUMN hash_kind TEXT NOT NULL DEFAULT '';

UPDATE account SET hash_kind = rtrim(password_hash, './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz')
	WHERE password_hash LIKE '$2%';

UPDATE account SET hash_kind = rtrim(rtrim(rtrim(password_hash,
		'+/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'), '$'),
		'+/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz')
	WHERE password_hash LIKE '$argon2id$%';

CREATE INDEX account_hash_kind ON account (hash_kind);
