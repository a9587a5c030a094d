package token

// Reason is the stable word for why a token was refused. The same word stands in responses, log
// lines, metric labels and the output of `caddy auth explain`.
type Reason string

// The reasons for which a token itself is refused.
const (
	// Malformed is a token that is no strict compact JWS, or whose header or claims break their
	// rules.
	Malformed Reason = "malformed"
	// TooLarge is a token of more than MaxSize bytes.
	TooLarge Reason = "too_large"
	// UnknownIssuer is an `iss` that names no accepted issuer.
	UnknownIssuer Reason = "unknown_issuer"
	// UnknownKey is a `kid` that is missing or that the issuer does not have.
	UnknownKey Reason = "unknown_key"
	// BadAlgorithm is an `alg` that is not the one pinned to the key, or not accepted of the
	// issuer.
	BadAlgorithm Reason = "bad_algorithm"
	// BadSignature is a signature that the key did not make.
	BadSignature Reason = "bad_signature"
	// Expired is an `exp` that has passed.
	Expired Reason = "expired"
	// NotYetValid is an `nbf` or `iat` in the future.
	NotYetValid Reason = "not_yet_valid"
	// LifetimeTooLong is a time from `iat` to `exp` over the issuer's maximum.
	LifetimeTooLong Reason = "lifetime_too_long"
	// WrongAudience is an `aud` that names nobody who is asked.
	WrongAudience Reason = "wrong_audience"
	// WrongType is a token made for another purpose: a `typ` that is not accepted, or a refresh
	// token.
	WrongType Reason = "wrong_type"
	// WrongProject is a token of another project.
	WrongProject Reason = "wrong_project"
	// Revoked is a token on the deny list.
	Revoked Reason = "revoked"
	// Inactive is an opaque token that its issuer does not know, or knows no more (RFC 7662,
	// section 2.2).
	Inactive Reason = "inactive"
	// KeysUnavailable is an issuer whose keys cannot be had at the moment. The token may be good.
	KeysUnavailable Reason = "keys_unavailable"
)

// Refusal is the error of everything that refuses a token.
type Refusal struct {
	// Reason is the word for the deciding check.
	Reason Reason
	// Detail says more in plain words, for the operator and never for the client. It names members,
	// and quotes in a bounded length what a token holds only where the token was verified before.
	Detail string
}

// Error returns the reason and, when there is one, the detail.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return string(r.Reason)
	}
	return string(r.Reason) + ": " + r.Detail
}

func refuse(reason Reason, detail string) error {
	return &Refusal{Reason: reason, Detail: detail}
}
