package clientauth

import "github.com/caddyauth/gateway/caddyauth/domain/clients"

// The ways in which a client authenticates (RFC 7591, section 2).
const (
	None        = clients.AuthNone
	SecretBasic = clients.AuthSecretBasic
	SecretPost  = clients.AuthSecretPost
)

// credentials are what a client proves itself with, or only its name, which is enough for public
// clients.
type credentials struct {
	method string
	id     string
	secret string
	header bool // they came in the Authorization header
}

// readCredentials finds exactly one set of credentials (RFC 6749, section 2.3).
func readCredentials(r Request) (credentials, error) {
	var found []credentials
	if lines := r.HTTP.Header["Authorization"]; len(lines) > 0 {
		given, err := fromHeader(lines)
		if err != nil {
			return credentials{}, err
		}
		found = append(found, given)
	}
	if secret := r.Form["client_secret"]; secret != "" {
		found = append(found, credentials{method: SecretPost, id: r.Form["client_id"], secret: secret})
	}
	switch len(found) {
	case 0:
		return credentials{method: None, id: r.Form["client_id"]}, nil
	case 1:
		return found[0], sameClient(r.Form["client_id"], found[0])
	}
	return credentials{}, Refuse(InvalidRequest, "The client authenticates in more than one way.")
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
func fromHeader(lines []string) (credentials, error) {
	if len(lines) > 1 {
		return credentials{}, Refuse(InvalidRequest, "The client authenticates in more than one way.")
	}
	id, secret, ok := parseBasic(lines[0])
	if !ok {
		return credentials{}, UnknownClient(true)
	}
	given := credentials{method: SecretBasic, id: id, secret: secret, header: true}
	if secret == "" {
		given.method = None
	}
	return given, nil
}
