// Package dpop owns DPoP proofs (RFC 9449): the strict reading of one, what it must say about the
// request that it came with, and the nonces by which a server bounds the age of proofs.
//
// A proof is read in this order, and the first thing that is wrong is what the caller hears: size,
// structure, header, key, signature, claims. What is decided where the RFC leaves a choice:
//
//   - Algorithms are ES256, EdDSA, PS256 and RS256.
//   - `typ` is `dpop+jwt`, as it is written there.
//   - `iat` may be up to MaxAge old and up to MaxAhead in the future. `nbf` and `exp` mean nothing here.
//   - `jti` has 1 to 256 bytes. Whether it was used before is the caller's to ask.
//   - `htm` is compared as it stands: methods are case-sensitive (RFC 9110, section 9.1).
//   - `htu` is compared without query and fragment after normalisation (RFC 3986, sections 6.2.2 and 6.2.3):
//     case of scheme and host, default port, empty path, percent-encoding of unreserved characters and case of
//     its digits. Dot segments stay, because what they lead to is the application's affair.
//   - A nonce that was not asked for means nothing.
package dpop
