package oauth

import "github.com/caddyauth/gateway/caddyauth/serve/clientauth"

// The words of audit.Event.Result; those of errors are `error` in the answer, too.
const (
	success                = "success"
	inactive               = "inactive"
	invalidRequest         = clientauth.InvalidRequest
	invalidClient          = clientauth.InvalidClient
	invalidGrant           = clientauth.InvalidGrant
	invalidScope           = clientauth.InvalidScope
	invalidTarget          = clientauth.InvalidTarget
	unauthorizedClient     = clientauth.UnauthorizedClient
	unsupportedGrantType   = clientauth.UnsupportedGrantType
	unsupportedTokenType   = clientauth.UnsupportedTokenType
	temporarilyUnavailable = clientauth.TemporarilyUnavailable
	invalidDPoPProof       = clientauth.InvalidDPoPProof
	useDPoPNonce           = clientauth.UseDPoPNonce
	canceled               = clientauth.Canceled
)

// Results returns every word that audit.Event.Result can be, for whoever prepares counters.
func Results() []string {
	return []string{
		success, inactive, invalidRequest, invalidClient, invalidGrant, invalidScope, invalidTarget,
		unauthorizedClient, unsupportedGrantType, unsupportedTokenType, temporarilyUnavailable, canceled,
		invalidDPoPProof, useDPoPNonce,
	}
}

func refuse(code, text string) error { return clientauth.Refuse(code, text) }

func unavailable(cause error) error { return clientauth.Unavailable(cause) }
