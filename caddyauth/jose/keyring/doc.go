// Package keyring owns the keys that tokens are signed and verified with.
//
// A [Key] is immutable and pinned to one algorithm: a token never chooses how it is verified. Keys
// come from a string of secrets ([ParseSecrets]), from PEM, JWK and JWK Set files ([ParseFile]), or
// are made here ([Generate]) and kept sealed by a [Store] ([SecretRing.Seal]), where a [Lifecycle]
// says how they follow one another and a [Keeper] keeps them in step with the store and with time.
// A [Ring] is the immutable set of keys of one issuer, with one active key that signs; its JWKS
// holds public keys only. A [Remote] is the key set of a foreign issuer, fetched in the background
// and never on a request's path except the first time.
//
// What is refused, wherever it comes from: HMAC secrets shorter than the hash,
// RSA keys under 2048 bits or with a weak exponent, a curve that is not the
// algorithm's, points off the curve, a repeated or empty key id. Error texts
// name the key id and the limit and never hold a byte of a secret.
package keyring
