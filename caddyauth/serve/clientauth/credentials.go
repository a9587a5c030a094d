package clientauth

import (
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// assertionType is the one `client_assertion_type` (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// credentials are what a client proves itself with, or only its name, which is enough for public
// clients.
type credentials struct {
	method            string
	id                string
	secret, assertion string
	plain             string // another reading of the secret, see parseBasic
	header            bool   // they came in the Authorization header
}

// readCredentials finds exactly one set of credentials (RFC 6749, section 2.3). Several are refused
// whatever each of them is worth.
func readCredentials(r Request) (credentials, error) {
	lines, f := r.HTTP.Header["Authorization"], r.Form
	secret, asserted := f["client_secret"] != "", f["client_assertion"] != "" || f["client_assertion_type"] != ""
	ways := len(lines)
	for _, used := range []bool{secret, asserted} {
		if used {
			ways++
		}
	}
	if ways > 1 {
		return credentials{}, Refuse(InvalidRequest, "The client authenticates in more than one way.")
	}
	given := credentials{method: clients.AuthNone, id: f["client_id"]}
	var err error
	switch {
	case len(lines) == 1:
		given, err = fromHeader(lines[0])
	case secret:
		given = credentials{method: clients.AuthSecretPost, id: f["client_id"], secret: f["client_secret"]}
	case asserted:
		given, err = fromAssertion(f)
	}
	if err != nil {
		return credentials{}, err
	}
	return given, sameClient(f["client_id"], given)
}

// sameClient refuses a client_id beside the credentials of another client. One beside its own is
// superfluous.
func sameClient(named string, given credentials) error {
	if named != "" && named != given.id {
		return Refuse(InvalidRequest, "The parameter client_id names another client than the credentials.")
	}
	return nil
}

// fromHeader reads client_secret_basic. Public clients send an empty secret there.
func fromHeader(line string) (credentials, error) {
	id, secret, plain, ok := parseBasic(line)
	if !ok {
		return credentials{}, unproved(true, hintHeader)
	}
	given := credentials{method: clients.AuthSecretBasic, id: id, secret: secret, plain: plain, header: true}
	if secret == "" {
		given.method = clients.AuthNone
	}
	return given, nil
}

// fromAssertion reads private_key_jwt. The assertion says whose it is, which its signature has to
// prove (RFC 7521, section 4.2).
func fromAssertion(f Form) (credentials, error) {
	raw := f["client_assertion"]
	if raw == "" || f["client_assertion_type"] != assertionType {
		return credentials{}, Refuse(InvalidRequest,
			"A client assertion needs both client_assertion and client_assertion_type="+assertionType+".")
	}
	_, claims, err := token.Inspect(raw)
	id, ok := claims["iss"].(string)
	if err != nil || !ok {
		return credentials{}, unproved(false, hintUnreadable)
	}
	return credentials{method: clients.AuthPrivateKeyJWT, id: id, assertion: raw}, nil
}
