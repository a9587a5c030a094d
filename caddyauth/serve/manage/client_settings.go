package manage

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// clientSettings are the settings of a client in force, by their names in RFC 7591 where it has
// one.
type clientSettings struct {
	URI                    string          `json:"client_uri"`
	RedirectURIs           []string        `json:"redirect_uris"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris"`
	BackchannelLogoutURI   string          `json:"backchannel_logout_uri"`
	GrantTypes             []string        `json:"grant_types"`
	TokenExchange          []string        `json:"token_exchange"`
	Introspection          []string        `json:"introspection"`
	IdentityAssertions     []assertionBody `json:"identity_assertions"`
	ResponseModes          []string        `json:"response_modes"`
	Resources              []string        `json:"resources"`
	AuthMethods            []string        `json:"token_endpoint_auth_methods"`
	AuthMethod             *string         `json:"token_endpoint_auth_method"` // null: any of AuthMethods
	JWKS                   json.RawMessage `json:"jwks"`
	JWKSURI                string          `json:"jwks_uri"`
	IDTokenAlgorithm       string          `json:"id_token_signed_response_alg"`
	PKCE                   string          `json:"pkce"`
	PARRequired            bool            `json:"require_pushed_authorization_requests"`
	DPoPBound              bool            `json:"dpop_bound_access_tokens"`
	Consent                string          `json:"consent"`
	Preset                 *string         `json:"preset"`
	Source                 *string         `json:"source"`
	Secrets                []secretBody    `json:"secrets"`
	CertificateBound       bool            `json:"tls_client_certificate_bound_access_tokens"`
	CertificateSubject     *string         `json:"tls_client_auth_subject_dn"`
	CertificateDNS         *string         `json:"tls_client_auth_san_dns"`
	CertificateURI         *string         `json:"tls_client_auth_san_uri"`
	CertificateIP          *string         `json:"tls_client_auth_san_ip"`
	CertificateEmail       *string         `json:"tls_client_auth_san_email"`
}

// secretBody is a secret of a client as the API has it: everything but the secret.
type secretBody struct {
	Number  int     `json:"number"`
	Created *string `json:"created_at"`
	Expires *string `json:"expires_at"`
}

const (
	pkceRequired = "required"
	pkceOptional = "optional"
)

func showSettings(c clients.Client) clientSettings {
	b := clientSettings{
		URI:                    c.URI,
		RedirectURIs:           nonNil(c.RedirectURIs),
		PostLogoutRedirectURIs: nonNil(c.PostLogoutRedirectURIs),
		BackchannelLogoutURI:   c.BackchannelLogoutURI,
		GrantTypes:             those(clients.GrantTypes, c.AllowsGrant),
		TokenExchange:          nonNil(c.TokenExchange),
		Introspection:          nonNil(c.Introspection),
		IdentityAssertions:     showAssertions(c),
		ResponseModes:          those(clients.ResponseModes, c.AllowsResponseMode),
		Resources:              nonNil(c.Resources),
		AuthMethods:            those(clients.AuthMethods, c.AllowsAuth),
		AuthMethod:             orNull(c.AuthMethod),
		JWKS:                   c.JWKS,
		JWKSURI:                c.JWKSURI,
		IDTokenAlgorithm:       c.SignsIDTokenWith(),
		PKCE:                   pkceRequired,
		PARRequired:            c.PARRequired,
		DPoPBound:              c.DPoPBound,
		Consent:                c.ConsentPolicy(),
		Preset:                 orNull(c.Preset),
		Source:                 orNull(c.Source),
		Secrets:                make([]secretBody, len(c.Secrets)),
		CertificateBound:       c.CertificateBound,
		CertificateSubject:     orNull(c.CertificateSubject),
		CertificateDNS:         orNull(c.CertificateDNS),
		CertificateURI:         orNull(c.CertificateURI),
		CertificateIP:          orNull(c.CertificateIP),
		CertificateEmail:       orNull(c.CertificateEmail),
	}
	if !c.RequiresPKCE() {
		b.PKCE = pkceOptional
	}
	for i, s := range c.Secrets {
		b.Secrets[i] = secretBody{s.Number, rfc3339(s.Created), rfc3339(s.Expires)}
	}
	return b
}

// those are the words that a client is allowed.
func those(words []string, allowed func(string) bool) []string {
	found := []string{}
	for _, word := range words {
		if allowed(word) {
			found = append(found, word)
		}
	}
	return found
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// hasSecrets reports whether a client authenticates with a secret, or with whatever it is given.
func hasSecrets(c clients.Client) bool {
	return slices.Contains([]string{"", clients.AuthSecretBasic, clients.AuthSecretPost}, c.AuthMethod)
}

// editSettings takes over what a body says about OAuth and OpenID Connect; null takes away. A
// client that is to authenticate without a secret loses those that it has.
func editSettings(o *object, c *clients.Client) {
	s := &c.Settings
	o.stringList("redirect_uris", &s.RedirectURIs)
	o.stringList("post_logout_redirect_uris", &s.PostLogoutRedirectURIs)
	o.stringList("resources", &s.Resources)
	o.stringList("response_modes", &s.ResponseModes)
	o.stringList("token_exchange", &s.TokenExchange)
	o.stringList("introspection", &s.Introspection)
	o.assertions(&s.IdentityAssertions)
	o.stringList("grant_types", &s.GrantTypes)
	s.GrantTypes = clients.LongGrantTypes(s.GrantTypes)
	for _, text := range []struct {
		name string
		into *string
	}{
		{"client_uri", &s.URI},
		{"backchannel_logout_uri", &s.BackchannelLogoutURI},
		{"jwks_uri", &s.JWKSURI},
		{"token_endpoint_auth_method", &s.AuthMethod},
		{"id_token_signed_response_alg", &s.IDTokenAlgorithm},
		{"consent", &s.Consent},
		{"tls_client_auth_subject_dn", &s.CertificateSubject},
		{"tls_client_auth_san_dns", &s.CertificateDNS},
		{"tls_client_auth_san_uri", &s.CertificateURI},
		{"tls_client_auth_san_ip", &s.CertificateIP},
		{"tls_client_auth_san_email", &s.CertificateEmail},
	} {
		o.textOrNull(text.name, text.into)
	}
	o.jwks("jwks", &s.JWKS)
	o.pkce(&s.PKCEOptional)
	o.flag("require_pushed_authorization_requests", &s.PARRequired)
	o.flag("dpop_bound_access_tokens", &s.DPoPBound)
	o.flag("tls_client_certificate_bound_access_tokens", &s.CertificateBound)
	o.preset(c)
	if !hasSecrets(*c) {
		c.Secrets = nil
	}
}

// textOrNull takes a string; null takes it away.
func (o *object) textOrNull(name string, into *string) {
	if o.null(name) {
		*into = ""
		return
	}
	o.text(name, into)
}

// jwks takes an object as it is; null takes it away.
func (o *object) jwks(name string, into *json.RawMessage) {
	raw, there := o.take(name)
	if !there {
		return
	}
	*into = nil
	if string(raw) == "null" {
		return
	}
	var compact bytes.Buffer
	if raw[0] != '{' || json.Compact(&compact, raw) != nil {
		o.fail(invalid("%s: it must be an object or null", name))
		return
	}
	*into = compact.Bytes()
}

func (o *object) pkce(optional *bool) {
	word := ""
	o.text("pkce", &word)
	switch _, there := o.members["pkce"]; {
	case !there:
	case word == pkceRequired || word == pkceOptional:
		*optional = word == pkceOptional
	default:
		o.fail(invalid("pkce: %.70q is neither required nor optional", word))
	}
}

// preset takes the name of a preset, which is applied to what the client then says; null lets go of
// it and changes nothing else.
func (o *object) preset(c *clients.Client) {
	o.textOrNull("preset", &c.Preset)
	if _, there := o.members["preset"]; there && c.Preset != "" {
		o.fail(c.ApplyPreset(c.Preset))
	}
}
