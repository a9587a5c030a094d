-- The thumbprint of the TLS client certificate that a grant's tokens are bound to (RFC 8705), '' for none.
ALTER TABLE grants ADD COLUMN x5t TEXT NOT NULL DEFAULT '';
