package command

import (
	"fmt"
	"strings"
)

// assertionAudience is a member of identity_assertions of the API.
type assertionAudience struct {
	Issuer    string   `json:"issuer"`
	ClientID  string   `json:"client_id,omitempty"`
	Scopes    []string `json:"scopes,omitempty"`
	Resources []string `json:"resources,omitempty"`
}

// parseAssertions reads lines of an issuer and what its server knows the client by; scope and
// resource may be repeated.
func parseAssertions(lines []string) ([]assertionAudience, error) {
	audiences := []assertionAudience{}
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) == 0 {
			return nil, fmt.Errorf("--identity-assertion: %q has no issuer", line)
		}
		a := assertionAudience{Issuer: words[0]}
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
