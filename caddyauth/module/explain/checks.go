package explain

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// checkNames are the checks that a token goes through on its own, in their order.
var checkNames = []string{
	"structure", "header", "issuer and key", "algorithm", "signature", "type", "claims", "times", "audience",
}

// checkOf names the check that decided, for the commands. raw is the token, where there was one.
func checkOf(raw string, r *token.Refusal) string {
	if check, ok := gateChecks[r.Reason]; ok {
		return check
	}
	switch {
	case strings.HasPrefix(r.Detail, "claim iss "):
		return "issuer and key"
	case strings.HasPrefix(r.Detail, "claim"):
		return "claims"
	}
	switch r.Reason {
	case token.TooLarge:
		return "structure"
	case token.UnknownIssuer, token.KeysUnavailable:
		return "issuer and key"
	case token.BadSignature:
		return "signature"
	case token.Expired, token.NotYetValid, token.LifetimeTooLong:
		return "times"
	case token.WrongAudience:
		return "audience"
	}
	return checkFromToken(raw, r)
}

// gateChecks are the checks that a gate adds to those of the token.
var gateChecks = map[token.Reason]string{
	gate.NoCredential:         "credential",
	gate.MultipleCredentials:  "credential",
	gate.CrossOrigin:          "origin",
	gate.AmbiguousPath:        "path",
	token.WrongProject:        "project",
	token.Revoked:             "revocation",
	gate.RevocationNotChecked: "revocation",
	gate.ProofRequired:        "possession",
	gate.WrongBinding:         "possession",
	gate.WrongCertificate:     "possession",
	gate.InvalidProof:         "possession",
	gate.NonceRequired:        "possession",
	gate.ReplayNotChecked:     "possession",
	gate.InsufficientScope:    "policy",
	gate.ClaimDenied:          "policy",

	gate.InsufficientAuthentication: "policy",

	gate.UntrustedProxy:  "asking proxy",
	gate.UnclearRequest:  "asking proxy",
	gate.NoGate:          "gate",
	gate.OwnPath:         "asking proxy",
	gate.CredentialInURL: "credential",
}

// checkFromToken looks at the token where a reason can come from more than one check.
func checkFromToken(raw string, r *token.Refusal) string {
	header, _, err := token.Inspect(raw)
	early, _ := errors.AsType[*token.Refusal](err)
	switch {
	case r.Reason == token.WrongType && early != nil && early.Reason == token.WrongType:
		return "structure" // a refresh token, which is no JWT at all
	case r.Reason == token.WrongType:
		return "type"
	case r.Reason == token.Malformed && strings.HasPrefix(r.Detail, "header"),
		r.Detail == "nested tokens are not supported":
		return "header"
	case r.Reason == token.Malformed:
		return "structure"
	case r.Reason == token.BadAlgorithm:
		if alg, _ := header["alg"].(string); header != nil && !slices.Contains(keyring.Algorithms(), alg) {
			return "header"
		}
		return "algorithm"
	case r.Reason == token.UnknownKey && header != nil:
		if kid, _ := header["kid"].(string); kid == "" || len(kid) > 256 {
			return "header"
		}
	case r.Reason != token.UnknownKey && r.Reason != token.Inactive:
		return "unnamed"
	}
	return "issuer and key"
}

// quoteJSON formats a JSON value with control characters quoted and members sorted.
func quoteJSON(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case token.Number:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	case nil:
		return "null"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = quoteJSON(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for name, e := range v {
			parts = append(parts, strconv.Quote(name)+": "+quoteJSON(e))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprintf("%q", value)
}

// formatTime writes an instant with its distance from now.
func formatTime(t, now time.Time) string {
	distance := t.Sub(now).Round(time.Second)
	when := "in " + distance.String()
	if distance < 0 {
		when = (-distance).String() + " ago"
	}
	return t.UTC().Format(time.RFC3339) + ", " + when
}
