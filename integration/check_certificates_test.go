package integration

import (
	"strings"
	"testing"
)

// certificateAuth has clients that need certificates.
const certificateAuth = `
	auth {
		issuer {{url "auth"}}
		client named {
			token_endpoint_auth_method tls_client_auth
			tls_client_auth_san_dns named.example.com
			grant_types client_credentials
		}
		client bound {
			redirect_uri https://bound.example.com/cb
			tls_client_certificate_bound_access_tokens
		}
	}
`

// TestCheckOfClientCertificates: a client that needs a certificate, where no site asks for any.
func TestCheckOfClientCertificates(t *testing.T) {
	const (
		unverified = `error: client "named": it authenticates with a TLS certificate that Caddy has verified`
		unasked    = `error: client "bound": it needs a TLS certificate`
	)
	for _, c := range []struct {
		name, auth string // what stands in client_auth; empty: a site without TLS
		want       []string
	}{
		{"none", "", []string{unverified, unasked}},
		{"asked for", "mode request", []string{unverified}},
		{"verified", "mode verify_if_given\n trust_pool file {{.Dir}}/ca.pem", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &mutualTLS{authorizing: &authorizing{gateway: newGateway(t)}}
			x.writePEM(t, "ca.pem", "CERTIFICATE", newAuthority(t, "authority").cert.Raw)
			site := "\nhttps://localhost:{{port \"tls\"}} {\n tls internal {\n client_auth {\n " + c.auth +
				"\n }\n }\n auth_server\n}\n"
			auth := strings.ReplaceAll(certificateAuth, `{{url "auth"}}`, `https://localhost:{{port "tls"}}`)
			if c.auth == "" {
				auth, site = certificateAuth, authSite
			}
			out, stderr, err := command("", "check", "--config", x.configFile(auth, site))
			if (err != nil) != (len(c.want) > 0) || strings.Count(out, "error: client ") != len(c.want) {
				t.Errorf("%v %q\n%s", err, stderr, out)
			}
			for _, text := range c.want {
				if !strings.Contains(out, text) {
					t.Errorf("it should say %s:\n%s", text, out)
				}
			}
		})
	}
}
