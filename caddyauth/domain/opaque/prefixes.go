package opaque

import (
	"slices"
	"strings"
)

// issuedPrefixes begin what this server issues: refresh tokens, opaque access tokens, API tokens,
// client secrets and registration access tokens. They are never sent to another issuer, not even by
// mistake. Codes are not among them: a browser brings them to applications in the URL.
var issuedPrefixes = []string{"rt_", Prefix, "caat_", "cacs_", "cart_"}

// IsOwn reports whether raw begins like an opaque access token of this server, so that only
// [Tokens] can know it.
func IsOwn(raw string) bool { return strings.HasPrefix(raw, Prefix) }

// IsIssued reports whether a text begins like something that this server issues with a prefix.
func IsIssued(raw string) bool {
	return slices.ContainsFunc(issuedPrefixes, func(prefix string) bool { return strings.HasPrefix(raw, prefix) })
}

// IsServerSecret is IsIssued for what only this server's own routes accept, so that it is never a
// credential for an application.
func IsServerSecret(raw string) bool { return IsIssued(raw) && !IsOwn(raw) }

// MayHoldSecret reports whether a line of an Authorization header may contain a text for which
// IsServerSecret is true.
func MayHoldSecret(line string) bool {
	return strings.Contains(strings.ToLower(line), "basic") ||
		slices.ContainsFunc(
			issuedPrefixes,
			func(prefix string) bool { return prefix != Prefix && strings.Contains(line, prefix) },
		)
}
