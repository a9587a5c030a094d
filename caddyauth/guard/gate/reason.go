package gate

import (
	"errors"
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// The reasons that a gate adds to those of package token.
const (
	NoCredential         token.Reason = "no_credential"
	MultipleCredentials  token.Reason = "multiple_credentials"
	InsufficientScope    token.Reason = "insufficient_scope"
	ClaimDenied          token.Reason = "claim_denied"
	CrossOrigin          token.Reason = "cross_origin"
	AmbiguousPath        token.Reason = "ambiguous_path"
	RevocationNotChecked token.Reason = "revocation_unavailable"

	// Those of DPoP (RFC 9449).
	ProofRequired    token.Reason = "dpop_required"
	WrongBinding     token.Reason = "dpop_binding"
	InvalidProof     token.Reason = "invalid_dpop_proof"
	NonceRequired    token.Reason = "use_dpop_nonce"
	ReplayNotChecked token.Reason = "replay_unavailable"

	// WrongCertificate is a token that is bound to another TLS client certificate than that of the
	// connection (RFC 8705).
	WrongCertificate token.Reason = "certificate_binding"

	// InsufficientAuthentication is a sign-in that is too old or of another class than is asked for
	// (RFC 9470).
	InsufficientAuthentication token.Reason = "insufficient_user_authentication"

	// Those of other proxies that ask: a peer that may not speak for others, one that does not say
	// what it asks about, a request for which the site has no gate, one that is for the gateway, and
	// one whose URL has a credential that the proxy would pass on.
	UntrustedProxy  token.Reason = "untrusted_proxy"
	UnclearRequest  token.Reason = "unclear_request"
	NoGate          token.Reason = "no_gate"
	OwnPath         token.Reason = "own_path"
	CredentialInURL token.Reason = "credential_in_url"
)

// Reasons are all codes with which a gate, a header filter or the answer for another proxy refuses.
var Reasons = []token.Reason{
	NoCredential, MultipleCredentials, CrossOrigin, AmbiguousPath, InsufficientScope, ClaimDenied, RevocationNotChecked,
	token.Malformed, token.TooLarge, token.UnknownIssuer, token.UnknownKey, token.BadAlgorithm, token.BadSignature,
	token.Expired, token.NotYetValid, token.LifetimeTooLong, token.WrongAudience, token.WrongType, token.WrongProject,
	token.Revoked, token.Inactive, token.KeysUnavailable,
	ProofRequired, WrongBinding, InvalidProof, NonceRequired, ReplayNotChecked,
	InsufficientAuthentication, WrongCertificate,
	UntrustedProxy, UnclearRequest, NoGate, OwnPath, CredentialInURL,
}

func refuse(reason token.Reason, detail string) error {
	return &token.Refusal{Reason: reason, Detail: detail}
}

func refusedFor(err error, reason token.Reason) bool {
	return ReasonOf(err) == reason
}

// ReasonOf returns the reason code of a refusal; an error that is none counts as token.Malformed,
// so that it still refuses.
func ReasonOf(err error) token.Reason {
	if r, ok := errors.AsType[*token.Refusal](err); ok {
		return r.Reason
	}
	return token.Malformed
}

// Status returns the HTTP status of a refusal (RFC 6750, section 3.1; 503 where the fault is ours).
func Status(reason token.Reason) int {
	switch reason {
	case MultipleCredentials, AmbiguousPath, UnclearRequest, CredentialInURL:
		return http.StatusBadRequest
	case InsufficientScope, ClaimDenied, CrossOrigin, UntrustedProxy, NoGate, OwnPath:
		return http.StatusForbidden
	case token.KeysUnavailable, RevocationNotChecked, ReplayNotChecked:
		return http.StatusServiceUnavailable
	}
	return http.StatusUnauthorized
}

// ErrorCode returns the `error` word that goes with a reason in challenges and bodies: those of RFC
// 6750, RFC 9449 and RFC 9470 where one fits, `access_denied` and `temporarily_unavailable` of RFC
// 6749 where none does. It is empty when no credential was sent, as RFC 6750 wants it.
func ErrorCode(reason token.Reason) string {
	switch reason {
	case NoCredential:
		return ""
	case MultipleCredentials, AmbiguousPath, UnclearRequest, CredentialInURL:
		return "invalid_request"
	case InsufficientScope:
		return "insufficient_scope"
	case ClaimDenied, CrossOrigin, UntrustedProxy, NoGate, OwnPath:
		return "access_denied"
	case InvalidProof, NonceRequired, InsufficientAuthentication:
		return string(reason)
	case token.KeysUnavailable, RevocationNotChecked, ReplayNotChecked:
		return "temporarily_unavailable"
	}
	return "invalid_token"
}

// BodyCode is the error word of a JSON body, which unlike the challenge always has one.
func BodyCode(reason token.Reason) string {
	if code := ErrorCode(reason); code != "" {
		return code
	}
	return "unauthorized"
}
