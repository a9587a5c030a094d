package authorization

import (
	"errors"
	"net/url"
	"strings"
	"time"
)

// PushedLifetime is for how long a pushed request is good (RFC 9126, section 2.2: 5 to 600 seconds).
// A person signs in within it.
const PushedLifetime = 5 * time.Minute

// pushedPrefix is what the `request_uri` of a pushed request begins with (RFC 9126, section 2.2).
const pushedPrefix = "urn:ietf:params:oauth:request_uri:"

// ErrNoPushed says that a pushed request is not known, or no longer.
var ErrNoPushed = errors.New("no such pushed request")

// Pushed is a request that a client has pushed (RFC 9126).
type Pushed struct {
	// Hash is that of the reference in the `request_uri`.
	Hash string

	// ClientID is who pushed it.
	ClientID string

	// Parameters are those of the request, without the client's credentials.
	Parameters Parameters

	// Expires is when it ends, Used the hash of the code that completed it; empty until then.
	Expires time.Time
	Used    string
}

// PushedURI returns the `request_uri` of a reference.
func PushedURI(reference string) string { return pushedPrefix + reference }

// PushedReference takes a `request_uri` apart; ok is false for what is none of /par.
func PushedReference(requestURI string) (reference string, ok bool) {
	reference, ok = strings.CutPrefix(requestURI, pushedPrefix)
	return reference, ok && reference != "" && len(reference) <= 128
}

// WithoutCredentials are the parameters of a pushed request without those by which the client has
// authenticated.
func (p Parameters) WithoutCredentials() Parameters {
	rest := make(Parameters, len(p))
	for name, values := range p {
		switch name {
		case "client_secret", "client_assertion", "client_assertion_type":
		default:
			rest[name] = values
		}
	}
	return rest
}

// Encode writes the parameters as in a query, in a fixed order.
func (p Parameters) Encode() string { return url.Values(p).Encode() }

// ParseParameters reads what Encode wrote.
func ParseParameters(text string) (Parameters, error) {
	values, err := url.ParseQuery(text)
	return Parameters(values), err
}
