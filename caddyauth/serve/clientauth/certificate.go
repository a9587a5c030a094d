package clientauth

import (
	"crypto/x509"
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/web/clientcert"
)

// usesCertificate reports whether a client authenticates with its TLS certificate.
func usesCertificate(c clients.Client) bool {
	return c.AuthMethod == clients.AuthTLS || c.AuthMethod == clients.AuthSelfSignedTLS
}

// The details of events about certificates that prove no client.
const (
	hintNone = "the connection has no client certificate: does the site ask for one " +
		"(tls { client_auth { mode request } }), and is there no proxy before it that ends TLS?"
	hintUnverified = "the client certificate was not verified: tls { client_auth { ... } } of the site needs a " +
		"trust_pool and the mode verify_if_given or require_and_verify"
	hintExpired    = "the client certificate has expired, or is not yet valid"
	hintOtherName  = "the client certificate does not have the name that the client is declared with"
	hintUnknownOne = "the client certificate is not among those of the client's key set (x5c)"
)

// checkCertificate refuses a connection whose certificate does not prove the client (RFC 8705, section
// 2): one that the server has verified and that names the client, or one that the client has
// published or was registered with.
func (a *Authenticator) checkCertificate(r Request, c clients.Client) error {
	cert := clientcert.Of(r.HTTP)
	switch {
	case cert == nil:
		return unproved(false, hintNone)
	case !isValidAt(cert, r.Now): // it may have expired since the connection began
		return unproved(false, hintExpired)
	case c.AuthMethod == clients.AuthSelfSignedTLS:
		return a.checkKnown(r, c, clientcert.Thumbprint(cert))
	case !clientcert.Verified(r.HTTP):
		return unproved(false, hintUnverified)
	case !c.NamedBy(cert):
		return unproved(false, hintOtherName)
	}
	return nil
}

// checkKnown looks for a certificate among those of the client (RFC 8705, section 2.2).
func (a *Authenticator) checkKnown(r Request, c clients.Client, thumbprint string) error {
	known, err := false, error(nil)
	if len(c.JWKS) == 0 {
		known, err = a.Keys.HasCertificate(r.HTTP.Context(), keyring.Source{
			URL:          c.JWKSURI,
			Certificates: true,
			Unknown:      c.SelfRegistered(),
		}, thumbprint)
	} else if set, bad := keyring.ParseCertificates(c.JWKS); bad == nil {
		known = set.HasCertificate(thumbprint)
	}
	switch {
	case err != nil:
		return Unavailable(err)
	case !known:
		return unproved(false, hintUnknownOne)
	}
	return nil
}

func isValidAt(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && !now.After(cert.NotAfter)
}

// BoundTo returns the thumbprint of the certificate that the tokens of an authenticated client are
// bound to, and "" for a client whose tokens are bound to none. The client need not have authenticated
// with that certificate, and nobody need have verified it (RFC 8705, section 3). The error is a
// *Problem.
func BoundTo(r *http.Request, c clients.Client) (string, error) {
	if !c.CertificateBound {
		return "", nil
	}
	cert := clientcert.Of(r)
	if cert == nil {
		return "", &Problem{
			Status: http.StatusBadRequest,
			Code:   InvalidRequest,
			Text:   "The client gets tokens over a TLS connection with a client certificate only.",
			Hint:   hintNone,
		}
	}
	return clientcert.Thumbprint(cert), nil
}
