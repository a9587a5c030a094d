// Package token owns what a token is: the strict reading of a compact JWS into an immutable Token,
// the words for why one is refused, the check of its times, and the minting of our own (RFC 7515,
// RFC 7519, RFC 9068).
//
// A Verifier reads in this order, and the first thing that is wrong is what the caller hears: size
// and structure of the text, the protected header, the key that `kid` names, its algorithm, the
// signature, `iss`, `typ`, the claims. The clock, the audience and the policy are asked by the
// caller of a verified Token, so that one may be kept and shared between requests.
//
// Which reason is given where the choice was ours:
//
//   - `crit`, `b64`, `enc`, `zip` and a `cty` of JWT ask for something this gateway does not do: Malformed.
//   - An `alg` that no key here could have (`none` included): BadAlgorithm, whatever `kid` says.
//   - No `kid`, an empty one, or one over 256 bytes: UnknownKey.
//   - Our own refresh tokens (`rt_...`) presented as access tokens: WrongType.
//   - A claim of the wrong JSON type or out of range, a missing `iss`, `sub` or `exp`: Malformed.
//   - `aud` missing or `[]` is for nobody: WrongAudience. `aud` as number, null, object, empty string or a list with
//     anything but non-empty strings: Malformed.
//   - A good signature by a key of another issuer than `iss` names: UnknownKey, or UnknownIssuer when `iss` names none.
package token
