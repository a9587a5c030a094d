package registration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// Terms are what clients get that come by themselves, whatever they ask for.
type Terms struct {
	// Project is the slug of the project that they belong to. Required.
	Project string

	// Scopes are those that they may ask for. The `scope` of a registration is no ceiling: a client
	// may later ask for others of these. Default: none.
	Scopes []string

	// Audience is what their tokens are for when a request names nothing. Default: api.
	Audience []string

	// Resources are what they may name as `resource` (RFC 8707). Default: none.
	Resources []string
}

// The words of errors (RFC 7591, section 3.2.2).
const (
	invalidRedirectURI = "invalid_redirect_uri"
	invalidMetadata    = "invalid_client_metadata"
)

// problem is what is wrong with the metadata of a client.
type problem struct{ code, text string }

func (p *problem) Error() string { return p.code + ": " + p.text }

func wrong(format string, values ...any) error {
	return &problem{invalidMetadata, fmt.Sprintf(format, values...)}
}

// offeredGrants are the grant types of clients that come by themselves: those in which a person
// decides. Client credentials would give tokens to whoever registers.
var offeredGrants = []string{clients.GrantCode, clients.GrantRefresh, clients.GrantDevice}

// metadata are the members of RFC 7591, section 2, and of OpenID Connect Dynamic Client Registration
// 1.0, section 2, that mean something here. All others are ignored.
type metadata struct {
	redirectURIs, postLogout  []string
	grants, responseTypes     []string
	name, uri                 string
	authMethod                string
	applicationType           string
	jwksURI, idTokenAlgorithm string
	subjectType               string
	jwks                      json.RawMessage
	pushed, dpop, certificate bool
	named                     clients.Settings // by its certificate
}

// readMetadata reads the members, whose JSON types must be right.
func readMetadata(members map[string]json.RawMessage) (metadata, error) {
	var m metadata
	for _, member := range []struct {
		name string
		into any
	}{
		{"redirect_uris", &m.redirectURIs},
		{"post_logout_redirect_uris", &m.postLogout},
		{"grant_types", &m.grants},
		{"response_types", &m.responseTypes},
		{"client_name", &m.name},
		{"client_uri", &m.uri},
		{"token_endpoint_auth_method", &m.authMethod},
		{"application_type", &m.applicationType},
		{"jwks_uri", &m.jwksURI},
		{"jwks", &m.jwks},
		{"id_token_signed_response_alg", &m.idTokenAlgorithm},
		{"subject_type", &m.subjectType},
		{"require_pushed_authorization_requests", &m.pushed},
		{"dpop_bound_access_tokens", &m.dpop},
		{"tls_client_certificate_bound_access_tokens", &m.certificate},
		{"tls_client_auth_subject_dn", &m.named.CertificateSubject},
		{"tls_client_auth_san_dns", &m.named.CertificateDNS},
		{"tls_client_auth_san_uri", &m.named.CertificateURI},
		{"tls_client_auth_san_ip", &m.named.CertificateIP},
		{"tls_client_auth_san_email", &m.named.CertificateEmail},
	} {
		text, ok := members[member.name]
		if !ok || string(text) == "null" {
			continue // omitted members and null are the same (RFC 7591, section 2)
		}
		if err := json.Unmarshal(text, member.into); err != nil {
			code := invalidMetadata
			if member.name == "redirect_uris" {
				code = invalidRedirectURI
			}
			return metadata{}, &problem{code, member.name + ": it has the wrong type."}
		}
	}
	return m, nil
}

// describe sets what the metadata says about a client. What is set already and not said stays with
// its default: the metadata replaces what was said before (RFC 7592, section 2.2).
func (m metadata) describe(c *clients.Client) error {
	if err := m.refuse(); err != nil {
		return err
	}
	grants, err := m.offered()
	if err != nil {
		return err
	}
	c.Name = m.name
	c.Settings = clients.Settings{
		RedirectURIs:           m.redirectURIs,
		PostLogoutRedirectURIs: m.postLogout,
		URI:                    m.uri,
		GrantTypes:             grants,
		Resources:              c.Resources,
		AuthMethod:             m.authMethod,
		IDTokenAlgorithm:       m.idTokenAlgorithm,
		PARRequired:            m.pushed,
		DPoPBound:              m.dpop,
		Consent:                c.Consent,
		Source:                 c.Source,
		CertificateBound:       m.certificate,
	}
	switch m.authMethod { // what is for other methods is of no use here
	case clients.AuthPrivateKeyJWT, clients.AuthSelfSignedTLS:
		c.JWKS, c.JWKSURI = m.jwks, m.jwksURI
	case clients.AuthTLS:
		c.CertificateSubject = m.named.CertificateSubject
		c.CertificateDNS = m.named.CertificateDNS
		c.CertificateURI = m.named.CertificateURI
		c.CertificateIP = m.named.CertificateIP
		c.CertificateEmail = m.named.CertificateEmail
	}
	return nil
}

// refuse names what is not offered, where the client would rely on it.
func (m metadata) refuse() error {
	switch {
	case len(m.responseTypes) > 0 && !slices.Contains(m.responseTypes, "code"):
		return wrong("response_types: only code is offered.")
	case m.subjectType != "" && m.subjectType != "public":
		return wrong("subject_type: only public is offered.")
	case !slices.Contains([]string{"", "web", "native"}, m.applicationType):
		return wrong("application_type: it is neither web nor native.")
	case m.authMethod != "" && !slices.Contains(clients.AuthMethods, m.authMethod):
		return wrong("token_endpoint_auth_method: it is not one of %s.", strings.Join(clients.AuthMethods, ", "))
	case m.jwksURI != "" && !strings.HasPrefix(m.jwksURI, "https://"):
		return wrong("jwks_uri: it is not an https URL.")
	}
	if err := checkName(m.name); err != nil {
		return err
	}
	for _, uri := range m.redirectURIs {
		if err := clients.ValidateRedirectURI(uri); err != nil {
			return &problem{invalidRedirectURI, fmt.Sprintf("redirect_uris: %.200q: %v.", uri, err)}
		}
		// OpenID Connect Dynamic Client Registration 1.0, section 2
		if m.applicationType == "web" && !strings.HasPrefix(uri, "https://") {
			text := fmt.Sprintf("redirect_uris: %.200q: of a web application it must be https.", uri)
			return &problem{invalidRedirectURI, text}
		}
	}
	return nil
}

// offered narrows the grant types to those that are offered. A client that names none gets the
// usual ones.
func (m metadata) offered() ([]string, error) {
	var grants []string
	for _, grant := range m.grants {
		if slices.Contains(offeredGrants, grant) && !slices.Contains(grants, grant) {
			grants = append(grants, grant)
		}
	}
	if len(m.grants) == 0 {
		grants = []string{clients.GrantCode, clients.GrantRefresh}
	}
	switch {
	case len(grants) == 0:
		return nil, wrong("grant_types: none of them is offered.")
	case slices.Contains(grants, clients.GrantCode) && len(m.redirectURIs) == 0:
		return nil, &problem{invalidRedirectURI, "redirect_uris: authorization_code needs one."}
	}
	return grants, nil
}

// grant gives a client what all of them get.
func (t Terms) grant(c *clients.Client) {
	c.Project, c.Scopes, c.Audience, c.Resources = t.Project, t.Scopes, t.Audience, t.Resources
}

// are reports whether a client has these terms: the operator may have changed them since.
func (t Terms) are(c clients.Client) bool {
	return c.Project == t.Project && slices.Equal(c.Scopes, t.Scopes) &&
		slices.Equal(c.Audience, t.Audience) && slices.Equal(c.Resources, t.Resources)
}

// valid refuses a client that cannot be, in the words of RFC 7591.
func valid(c clients.Client) error {
	if err := c.Validate(); err != nil {
		text, _, _ := strings.Cut(err.Error(), "\n")
		return wrong("%s.", text)
	}
	return nil
}
