package command

import (
	"fmt"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// parseAssertions reads lines of an issuer and what its server knows the client by; scope and
// resource may be repeated.
func parseAssertions(lines []string) ([]clients.AssertionAudience, error) {
	audiences := []clients.AssertionAudience{}
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) == 0 {
			return nil, fmt.Errorf("--identity-assertion: %q has no issuer", line)
		}
		a := clients.AssertionAudience{Issuer: words[0]}
		for _, word := range words[1:] {
			name, value, _ := strings.Cut(word, "=")
			switch {
			case value == "":
				return nil, fmt.Errorf("--identity-assertion: %q: %q is not name=value", a.Issuer, word)
			case name == "client_id":
				a.ClientID = value
			case name == "scope":
				a.Scopes = append(a.Scopes, value)
			case name == "resource":
				a.Resources = append(a.Resources, value)
			default:
				return nil, fmt.Errorf("--identity-assertion: %q: %q is not client_id, scope or resource",
					a.Issuer, name)
			}
		}
		audiences = append(audiences, a)
	}
	return audiences, nil
}
