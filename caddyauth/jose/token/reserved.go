package token

import (
	"strings"
	"unicode"
)

// isField reports whether Mint writes the claim from a field of Claims.
func isField(name string) bool {
	switch name {
	case "iss", "sub", "aud", "exp", "nbf", "iat", "jti", // RFC 7519, section 4.1
		"client_id", "scope", // RFC 8693, sections 4.2 and 4.3
		"scp", // what some call scope
		"project",
		"sid": // OpenID Connect Front-Channel Logout, section 3
		return true
	}
	return false
}

// isProtocol reports whether a protocol gives the claim a meaning that no configured value may
// claim.
func isProtocol(name string) bool {
	switch name {
	case "auth_time", "nonce", "acr", "amr", "azp", // OpenID Connect Core, section 2
		"at_hash", "c_hash", "s_hash",
		"_claim_names", "_claim_sources", // OpenID Connect Core, section 5.6.2
		"act", "may_act", // RFC 8693, section 4
		"cnf", "htm", "htu", "ath", // RFC 7800, RFC 9449
		"events", "toe", "txn", "sub_id", // RFC 8417, RFC 9493
		"authorization_details", // RFC 9396
		"token_use",
		"epoch":
		return true
	}
	return false
}

// isOurs reports whether this server alone gives the claim its meaning, so that what another issuer
// writes there says nothing.
func isOurs(name string) bool { return name == "project" || name == "sid" || name == "epoch" }

// Reserved reports whether a claim of this name, in any case, has a meaning of its own, so that the
// configured claims of a user or client may not carry it.
func Reserved(name string) bool {
	folded := fold(name)
	return isField(folded) || isProtocol(folded)
}

// plain reports whether a name can differ by case only from names that are not plain.
func plain[Bytes ~[]byte | ~string](name Bytes) bool {
	for i := range len(name) {
		if c := name[i]; c >= 0x80 || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// fold returns the one spelling of all names that simple Unicode folding holds equal, as
// encoding/json does.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		if 'A' <= least && least <= 'Z' {
			least += 'a' - 'A'
		}
		return least
	}, name)
}

// checkFolding refuses members that a reader which ignores case would take for one another, or for
// a known name (`{"aud":"web","Aud":"api"}`). Exact duplicates are gone already, so only names that
// are not plain can offend.
func checkFolding(members []member, known func(string) bool) error {
	odd := false
	for i := range members {
		if plain(members[i].name) {
			continue
		}
		odd = true
		if known(fold(string(members[i].name))) {
			return errFolded
		}
	}
	if !odd {
		return nil
	}
	seen := make(map[string]bool, len(members))
	for i := range members {
		folded := fold(string(members[i].name))
		if seen[folded] {
			return errFolded
		}
		seen[folded] = true
	}
	return nil
}
