package clients

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// AssertionAudience is another authorization server for which a client gets identity assertions
// (draft-ietf-oauth-identity-assertion-authz-grant), and what they may say there.
type AssertionAudience struct {
	// Issuer is the issuer identifier of that server, byte for byte as a request names it. Required.
	Issuer string `json:"issuer"`

	// ClientID is what the client is called there. Default: its id here.
	ClientID string `json:"client_id,omitempty"`

	// Scopes are those that an assertion may name. Default: none, and that server decides.
	Scopes []string `json:"scopes,omitempty"`

	// Resources are those that an assertion may name. Default: none, and that server decides.
	Resources []string `json:"resources,omitempty"`
}

// AssertionAudience returns the server of that issuer, if the client gets identity assertions for it.
func (c Client) AssertionAudience(issuer string) (audience AssertionAudience, ok bool) {
	i := slices.IndexFunc(c.IdentityAssertions, func(a AssertionAudience) bool { return a.Issuer == issuer })
	if i < 0 {
		return AssertionAudience{}, false
	}
	audience = c.IdentityAssertions[i]
	if audience.ClientID == "" {
		audience.ClientID = c.ID
	}
	return audience, true
}

func validateAssertions(audiences []AssertionAudience) error {
	if len(audiences) > maxURIs {
		return fmt.Errorf("identity_assertions: %d are above the limit of %d", len(audiences), maxURIs)
	}
	for i, a := range audiences {
		if err := a.validate(); err != nil {
			return fmt.Errorf("identity_assertion %.200q: %w", a.Issuer, err)
		}
		if slices.ContainsFunc(audiences[:i], func(o AssertionAudience) bool { return o.Issuer == a.Issuer }) {
			return fmt.Errorf("identity_assertion: duplicate %.200q", a.Issuer)
		}
	}
	return nil
}

// validate holds the issuer against RFC 8414, section 2.
func (a AssertionAudience) validate() error {
	if err := ValidateWebURI(a.Issuer); err != nil {
		return err
	}
	if strings.Contains(a.Issuer, "?") {
		return errors.New("it has a query, and is no issuer")
	}
	if !isForeignID(a.ClientID) {
		return fmt.Errorf("client_id: it is not at most %d visible ASCII characters", maxForeignID)
	}
	return errors.Join(
		project.ValidateWords("scopes", a.Scopes),
		validateURIs("resources", a.Resources, validateResource),
	)
}

const maxForeignID = 512 // bytes

// isForeignID holds the id of a client at another server against RFC 6749, appendix A.1.
func isForeignID(id string) bool {
	return len(id) <= maxForeignID && !strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' })
}

// validateAssertionGrant refuses identity assertions that the client could not ask for.
func (c Client) validateAssertionGrant() error {
	if len(c.IdentityAssertions) > 0 && !slices.Contains(c.GrantTypes, GrantExchange) {
		return errors.New("identity_assertion: it needs the grant type token-exchange")
	}
	return nil
}
