package token

import (
	"strings"
	"unicode"
)

// fields are the claims that Mint writes from the fields of Claims.
var fields = map[string]bool{
	"iss": true, "sub": true, "aud": true, "exp": true, "nbf": true, "iat": true, "jti": true, // RFC 7519, section 4.1
	"client_id": true, "scope": true, // RFC 8693, sections 4.2 and 4.3
	"scp":     true, // what some call scope
	"project": true,
	"sid":     true, // OpenID Connect Front-Channel Logout, section 3
}

// protocol are the claims to which a protocol gives a meaning that no configured value may claim.
var protocol = map[string]bool{
	"auth_time": true, "nonce": true, "acr": true, "amr": true, "azp": true, // OpenID Connect Core, section 2
	"at_hash": true, "c_hash": true, "s_hash": true,
	"_claim_names": true, "_claim_sources": true, // OpenID Connect Core, section 5.6.2
	"act": true, "may_act": true, // RFC 8693, section 4
	"cnf": true, "htm": true, "htu": true, "ath": true, // RFC 7800, RFC 9449
	"events": true, "toe": true, "txn": true, "sub_id": true, // RFC 8417, RFC 9493
	"authorization_details": true, // RFC 9396
	"token_use":             true,
	"epoch":                 true,
}

// Reserved reports whether a claim of this name, in any case, has a meaning of its own, so that the configured claims
// of a user or client may not carry it.
func Reserved(name string) bool {
	folded := fold(name)
	return fields[folded] || protocol[folded]
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

// fold returns the one spelling of all names that simple Unicode folding holds equal, as encoding/json does.
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

// checkFolding refuses members that a reader which ignores case would take for one another, or for a known name
// (`{"aud":"web","Aud":"api"}`). Exact duplicates are gone already, so only names that are not plain can offend.
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
