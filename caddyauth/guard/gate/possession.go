package gate

import (
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/web/clientcert"
)

// mayBeDPoP reports whether a source of the gate failed because the Authorization header has
// another scheme than Bearer, where the gate knows one more.
func (g *Gate) mayBeDPoP(s Source, err error) bool {
	return s.Kind == Bearer && g.Possession != nil && refusedFor(err, foreignScheme)
}

// findDPoP looks for a token of the scheme DPoP in place of s, which found another scheme.
func findDPoP(r *http.Request, s Source) (string, Source, error) {
	raw, err := Source{Kind: DPoP}.find(r)
	if refusedFor(err, foreignScheme) {
		return "", s, err
	}
	return raw, Source{Kind: DPoP}, err
}

// checkPossession refuses a token that is bound to a key or a certificate and whose presenter does not
// prove to have it, and one that is not bound where it should be.
func (g *Gate) checkPossession(r *http.Request, t *token.Token, via Source, prior *Admission, now time.Time) error {
	if err := CheckCertificate(r, t); err != nil {
		return err
	}
	if t.JKT() == "" && via.Kind != DPoP && !g.BoundOnly {
		return nil
	}
	return g.checkKey(r, t, via, prior, now)
}

// CheckCertificate refuses a token that is bound to a TLS client certificate and came over a connection
// without it (RFC 8705, section 3). The error is a *token.Refusal.
func CheckCertificate(r *http.Request, t *token.Token) error {
	bound := t.X5T()
	if bound == "" {
		return nil
	}
	switch clientcert.Thumbprint(clientcert.Of(r)) {
	case bound:
		return nil
	case "":
		return refuse(WrongCertificate, "the token is bound to a certificate, and the connection has none")
	}
	return refuse(WrongCertificate, "the token is bound to another certificate than that of the connection")
}

// checkKey is about DPoP (RFC 9449, sections 7.1 and 7.2). The proof is good for one request: gates
// behind the one that asked for it do not ask again.
func (g *Gate) checkKey(r *http.Request, t *token.Token, via Source, prior *Admission, now time.Time) error {
	switch {
	case t.JKT() == "" && via.Kind == DPoP:
		return refuse(WrongBinding, "the token is not bound to a key, and came with the scheme DPoP")
	case t.JKT() == "":
		return refuse(ProofRequired, "this gate takes only tokens that are bound to a key")
	case g.Possession == nil:
		return refuse(token.WrongType, "the token is bound to a key, and DPoP is off at this gate")
	case via.Kind != DPoP:
		return refuse(ProofRequired, "the token is bound to a key, and came without the scheme DPoP")
	case prior != nil && prior.Token != nil && prior.Token.Raw() == t.Raw():
		return nil
	}
	return g.Possession(r, t, g.Mode != ReportOnly, now)
}
