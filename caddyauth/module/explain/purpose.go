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
}

// notesOn says what a token is for if it is not for gates.
func notesOn(raw string) []string {
	header, _, err := token.Inspect(raw)
	typ, _ := header["typ"].(string)
	purpose := purposes[strings.TrimPrefix(strings.ToLower(typ), "application/")]
	if err != nil || purpose == "" {
		return nil
	}
	return []string{purpose}
}

// bearerOf is the token that a request carries in its header, whatever the scheme.
func bearerOf(r *http.Request) string {
	_, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(raw)
}
