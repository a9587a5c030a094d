package config

import (
	"encoding/json"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// unmarshalClient parses:
//
//	client <id> {
//		project                                    <slug>
//		name                                       <text>
//		client_uri                                 <url>
//		secret                                     <text> [<end>]
//		token_endpoint_auth_method                 <method>
//		jwks                                       <JWK set>
//		jwks_uri                                   <url>
//		redirect_uri                               <uris...>
//		post_logout_redirect_uri                   <uris...>
//		backchannel_logout_uri                     <url>
//		grant_types                                <words...>
//		token_exchange                             <ids...>
//		introspection                              <audiences...>
//		identity_assertion                         <issuer> {...}
//		response_modes                             <words...>
//		audience                                   <words...>
//		resource                                   <uris...>
//		scope                                      <words...>
//		claim                                      <name> <values...>
//		id_token_signed_response_alg               RS256|ES256|EdDSA|PS256
//		pkce                                       required|optional
//		require_pushed_authorization_requests      [on|off]
//		dpop_bound_access_tokens                   [on|off]
//		consent                                    always|once|off
//		access_token_format                        jwt|opaque
//		refresh_rotation                           on|off
//		refresh_reuse_interval                     <duration>
//		preset                                     <name>
//		lifetimes                                  {...}
//		tls_client_certificate_bound_access_tokens [on|off]
//		tls_client_auth_subject_dn                 <name>
//		tls_client_auth_san_dns                    <name>
//		tls_client_auth_san_uri                    <uri>
//		tls_client_auth_san_ip                     <address>
//		tls_client_auth_san_email                  <address>
//	}
func (s *Settings) unmarshalClient(d *caddyfile.Dispenser) error {
	s.Clients = append(s.Clients, Client{})
	i := len(s.Clients) - 1
	c := &s.Clients[i]
	if err := option.One(d, &c.ID); err != nil {
		return err
	}
	if err := option.At(d, s.validateClient(i, false)); err != nil {
		return err
	}
	err := option.Block(d, func() error {
		if err := c.unmarshalOption(d); err != nil {
			return err
		}
		return option.At(d, s.validateClient(i, false))
	}, "claim", "secret", "redirect_uri", "post_logout_redirect_uri", "resource", "identity_assertion")
	if err != nil {
		return err
	}
	return option.At(d, s.validateClient(i, true)) // what is missing is known at the end only
}

func (c *Client) unmarshalOption(d *caddyfile.Dispenser) error {
	word := d.Val()
	if into := c.text(word); into != nil {
		return option.One(d, into)
	}
	if into := c.list(word); into != nil {
		return option.Some(d, into)
	}
	var err error
	switch word {
	case "secret":
		return c.unmarshalSecret(d)
	case "jwks":
		return c.unmarshalJWKS(d)
	case "lifetimes":
		return c.Lifetimes.unmarshal(d)
	case "claim":
		return unmarshalClaim(d, &c.Claims)
	case "identity_assertion":
		return c.unmarshalAssertions(d)
	case "refresh_reuse_interval":
		return unmarshalReuse(d, &c.RefreshReuseInterval)
	case "require_pushed_authorization_requests":
		c.PARRequired, err = option.Flag(d)
	case "dpop_bound_access_tokens":
		c.DPoPBound, err = option.Flag(d)
	case "tls_client_certificate_bound_access_tokens":
		c.CertificateBound, err = option.Flag(d)
	default:
		err = d.Errf("client: unrecognized option %q", word)
	}
	return err
}

// text returns the setting of an option with one value, nil for every other option.
func (c *Client) text(word string) *string {
	return map[string]*string{
		"project":                      &c.Project,
		"name":                         &c.Name,
		"client_uri":                   &c.URI,
		"token_endpoint_auth_method":   &c.AuthMethod,
		"jwks_uri":                     &c.JWKSURI,
		"backchannel_logout_uri":       &c.BackchannelLogoutURI,
		"id_token_signed_response_alg": &c.IDTokenAlgorithm,
		"pkce":                         &c.PKCE,
		"consent":                      &c.Consent,
		"access_token_format":          &c.AccessTokenFormat,
		"refresh_rotation":             &c.RefreshRotation,
		"preset":                       &c.Preset,
		"tls_client_auth_subject_dn":   &c.CertificateSubject,
		"tls_client_auth_san_dns":      &c.CertificateDNS,
		"tls_client_auth_san_uri":      &c.CertificateURI,
		"tls_client_auth_san_ip":       &c.CertificateIP,
		"tls_client_auth_san_email":    &c.CertificateEmail,
	}[word]
}

// list returns the setting of an option with several values. `scopes` is the older word for
// `scope`.
func (c *Client) list(word string) *[]string {
	return map[string]*[]string{
		"redirect_uri":             &c.RedirectURIs,
		"post_logout_redirect_uri": &c.PostLogoutRedirectURIs,
		"grant_types":              &c.GrantTypes,
		"token_exchange":           &c.TokenExchange,
		"introspection":            &c.Introspection,
		"response_modes":           &c.ResponseModes,
		"audience":                 &c.Audience,
		"resource":                 &c.Resources,
		"scope":                    &c.Scopes,
		"scopes":                   &c.Scopes,
	}[word]
}

// unmarshalSecret reads a secret and its end. No error holds the secret.
func (c *Client) unmarshalSecret(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 && len(args) != 2 {
		return d.Errf("secret: it takes one value and at most one time, not %d values", len(args))
	}
	s := ClientSecret{Secret: args[0]}
	if len(args) == 2 {
		end, err := parseTime(args[1])
		if err != nil {
			return d.Err("secret: the end is neither a date such as 2030-12-31 nor a time of RFC 3339")
		}
		s.Expires = end
	}
	c.Secrets = append(c.Secrets, s)
	return nil
}

// parseTime reads a time of RFC 3339, or a date, which is its midnight in UTC.
func parseTime(text string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, text)
}

// unmarshalJWKS reads a JWK set, or a text with a placeholder.
func (c *Client) unmarshalJWKS(d *caddyfile.Dispenser) error {
	var text string
	if err := option.One(d, &text); err != nil {
		return err
	}
	switch {
	case json.Valid([]byte(text)):
		c.JWKS = json.RawMessage(text)
	case option.HasPlaceholder(text):
		quoted, err := json.Marshal(text)
		c.JWKS = quoted
		return err
	default:
		return d.Err("jwks: it is neither a JWK set nor a placeholder such as {file.keys.json}")
	}
	return nil
}
