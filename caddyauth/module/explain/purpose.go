package explain

import (
	"net/http"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// purposes are tokens that no gate takes, by their `typ`.
var purposes = map[string]string{
	issuance.IDJAGType: "this is an identity assertion (ID-JAG): a client exchanges it for an access token at the " +
		"authorization server that aud names; it is no access token, and no gate takes it",
	issuance.LogoutTokenType: "this is a logout token: it tells a client of the end of a sign-in; it is no access " +
		"token, and no gate takes it",
	"dpop+jwt": "this is a DPoP proof: it stands in the header DPoP beside an access token; it is no access token, " +
		"and no gate takes it",
	"token-introspection+jwt": "this is an answer of /introspect (RFC 9701), for the client that aud names; it is no " +
		"access token, and no gate takes it",
}

// secrets are what this server issues that is no JWT, by how it begins. Opaque access tokens, which gates
// take, are not among them.
var secrets = []struct{ prefix, purpose string }{
	{"rt_", "this is a refresh token: its client, or the browser, gets the next access token for it"},
	{"ac_", "this is an authorization code: its client redeems it at /token, once"},
	{"dc_", "this is a device code: its device polls /token with it"},
	{"caat_", "this is an API token: the management API takes it"},
	{"cart_", "this is a registration access token: its client reads and changes its registration with it"},
	{"cacs_", "this is a client secret: its client authenticates with it"},
	{"urn:ietf:params:oauth:request_uri:", "this is the request_uri of a pushed request: it goes to /authorize, once"},
}

// notesOn says what a token is for if it is not for gates.
func notesOn(raw string) []string {
	if purpose := purposeOf(raw); purpose != "" {
		return []string{purpose}
	}
	return nil
}

func purposeOf(raw string) string {
	for _, s := range secrets {
		if strings.HasPrefix(raw, s.prefix) {
			return s.purpose + "; it is no access token, and no gate takes it"
		}
	}
	header, claims, err := token.Inspect(raw)
	if err != nil {
		return ""
	}
	typ, _ := header["typ"].(string)
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	if purpose := purposes[typ]; purpose != "" {
		return purpose
	}
	return purposeOfPlain(typ, claims)
}

// purposeOfPlain tells by the claims what a JWT is whose `typ` says nothing.
func purposeOfPlain(typ string, claims map[string]any) string {
	if typ != "" && typ != strings.ToLower(issuance.IDTokenType) {
		return ""
	}
	issuer, _ := claims["iss"].(string)
	switch {
	case claims["at_hash"] != nil: // OpenID Connect Core, section 3.1.3.6
		return "this is an ID token: it tells the client that aud names who has signed in; it is no access " +
			"token, and no gate takes it"
	case issuer != "" && claims["sub"] == issuer: // RFC 7523, section 3
		return "this looks like a client assertion (private_key_jwt), with which a client authenticates; it is no " +
			"access token, and no gate takes it"
	}
	return ""
}

// bearerOf is the token that a request carries in its header, whatever the scheme.
func bearerOf(r *http.Request) string {
	_, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(raw)
}
