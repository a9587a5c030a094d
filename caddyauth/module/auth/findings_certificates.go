package auth

import (
	"fmt"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// findCertificates lists declared clients that need a TLS certificate where no site asks for one, or
// none verifies it (RFC 8705). Clients of the store are not looked at.
func (r report) findCertificates() (found []finding.Finding) {
	asked, verified := r.routes.Certificates()
	for _, c := range r.server.Clients {
		f := finding.Finding{Severity: finding.Error, Where: fmt.Sprintf("client %q", c.ID)}
		switch {
		case c.AuthMethod == clients.AuthTLS && !verified:
			f.Text = "it authenticates with a TLS certificate that Caddy has verified, and no site verifies any:" +
				" it is always refused"
			f.Hint = "the site of `auth_server` needs" +
				" `tls { client_auth { mode verify_if_given; trust_pool file ... } }`"
		case (c.AuthMethod == clients.AuthSelfSignedTLS || c.CertificateBound) && !asked:
			f.Text = "it needs a TLS certificate, and no site asks clients for one: it gets no tokens"
			f.Hint = "the site of `auth_server` needs `tls { client_auth { mode request } }`"
		default:
			continue
		}
		found = append(found, f)
	}
	return found
}
