package survey

import "crypto/tls"

// Certificates says whether any site asks clients for TLS certificates, and whether any verifies them.
// It is known once Caddy has provisioned its sites.
func (s *Survey) Certificates() (asked, verified bool) {
	for _, server := range s.servers() {
		for _, policy := range server.TLSConnPolicies {
			if policy.TLSConfig == nil {
				continue
			}
			asked = asked || policy.TLSConfig.ClientAuth != tls.NoClientCert
			verified = verified || policy.TLSConfig.ClientAuth >= tls.VerifyClientCertIfGiven
		}
	}
	return asked, verified
}
