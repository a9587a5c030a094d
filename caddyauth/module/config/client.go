package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// Client is an OAuth client.
type Client struct {
	// The client_id: 1 to 128 letters, digits and `-._~`. Required.
	ID string `json:"id"`
	// The project it belongs to. Default: default.
	Project string `json:"project,omitempty"`
	// The display name. Default: the id.
	Name string `json:"name,omitempty"`
	// Its home page, which people see when they are asked for their consent: https, or http on a
	// loopback host. Default: none.
	URI string `json:"client_uri,omitempty"`
	// Its secrets, at most two, so that one can replace the other. Default: none, a public client
	// unless it has keys.
	Secrets []ClientSecret `json:"secrets,omitempty"`
	// How it authenticates: `none`, `client_secret_basic`, `client_secret_post`, `private_key_jwt`,
	// `tls_client_auth` or `self_signed_tls_client_auth`. Default: with a secret
	// `client_secret_basic` or `client_secret_post`, whichever it sends; without one `none`.
	AuthMethod string `json:"token_endpoint_auth_method,omitempty"`
	// A JWK set with the public keys for `private_key_jwt`, or with the certificates (`x5c`) for
	// `self_signed_tls_client_auth`: the set itself, or a text with a placeholder. Default: none.
	JWKS json.RawMessage `json:"jwks,omitempty"`
	// Where that set is fetched from: https, or http on a loopback host. A private or loopback address
	// needs egress. Default: none.
	JWKSURI string `json:"jwks_uri,omitempty"`
	// Where authorization responses may be sent, compared byte for byte: https, http on a loopback
	// host (any port), or a private-use scheme with a dot. Default: none.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	// Where a browser may be sent after a sign-out, compared byte for byte. Default: none.
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	// What is told of the end of sign-ins: https, or http on a loopback host. Default: none.
	BackchannelLogoutURI string `json:"backchannel_logout_uri,omitempty"`
	// What it may use at the token endpoint; of a long name its last part is enough
	// (`device_code`, `token-exchange`, `jwt-bearer`). Default: authorization_code refresh_token.
	GrantTypes []string `json:"grant_types,omitempty"`
	// The clients whose access tokens it may exchange (RFC 8693), by id; itself only if it is among
	// them. `caddyauth` is the server's own login routes. Default: none.
	TokenExchange []string `json:"token_exchange,omitempty"`
	// The audiences and resources that it serves: it may ask about the tokens for them (RFC 7662),
	// besides its own tokens and those whose audience is its id. Default: none.
	Introspection []string `json:"introspection,omitempty"`
	// The authorization servers for which it gets identity assertions (ID-JAG) about people who signed
	// in with it, with the grant token-exchange. Default: none.
	IdentityAssertions []ClientAssertions `json:"identity_assertions,omitempty"`
	// How authorization responses may be sent. Default: query form_post.
	ResponseModes []string `json:"response_modes,omitempty"`
	// The audience of its tokens if a request names none. Default: api.
	Audience []string `json:"audience,omitempty"`
	// What it may name as `resource` (RFC 8707): absolute URIs. Default: none.
	Resources []string `json:"resources,omitempty"`
	// The scopes it may ask for, and gets if it names none. Default: none.
	Scopes []string `json:"scopes,omitempty"`
	// Claims that its tokens carry. Default: none.
	Claims map[string]any `json:"claims,omitempty"`
	// What signs its ID tokens: `RS256`, `ES256`, `EdDSA` or `PS256`. Default: RS256.
	IDTokenAlgorithm string `json:"id_token_signed_response_alg,omitempty"`
	// `optional` lets a client with a secret or a key do without PKCE. Default: required.
	PKCE string `json:"pkce,omitempty"`
	// Whether authorization requests must be pushed (RFC 9126). Default: false.
	PARRequired bool `json:"require_pushed_authorization_requests,omitempty"`
	// Whether its tokens are always bound to a key (DPoP, RFC 9449). Default: false.
	DPoPBound bool `json:"dpop_bound_access_tokens,omitempty"`
	// When people are asked whether it may have what it asks for: `always`, `once` or `off`.
	// Default: once.
	Consent string `json:"consent,omitempty"`
	// `jwt`, which gates verify by themselves, or `opaque`, which only this server reads. Default: the
	// project's.
	AccessTokenFormat string `json:"access_token_format,omitempty"`
	// `off` lets the same refresh token be used more than once. Default: the project's.
	RefreshRotation string `json:"refresh_rotation,omitempty"`
	// How long after a rotation the previous refresh token still gets the same successor; 0s to
	// 60s. Default: the project's.
	RefreshReuseInterval *option.Duration `json:"refresh_reuse_interval,omitempty"`
	// A named set of lifetimes, as for the server, or `fapi2` for the FAPI 2.0 security profile.
	// Default: the project's lifetimes.
	Preset string `json:"preset,omitempty"`
	// The lifetimes of its tokens. Default: the project's lifetimes.
	Lifetimes OwnLifetimes `json:"lifetimes,omitzero"`
	// Whether its tokens are always bound to its TLS client certificate (RFC 8705). Default: false.
	CertificateBound bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	// The subject of its certificate for `tls_client_auth`, as RFC 4514 writes it:
	// `CN=billing,O=Example`. Default: none.
	CertificateSubject string `json:"tls_client_auth_subject_dn,omitempty"`
	// A DNS name of its certificate, instead of the subject. Default: none.
	CertificateDNS string `json:"tls_client_auth_san_dns,omitempty"`
	// A URI of its certificate, instead of the subject. Default: none.
	CertificateURI string `json:"tls_client_auth_san_uri,omitempty"`
	// An IP address of its certificate, instead of the subject. Default: none.
	CertificateIP string `json:"tls_client_auth_san_ip,omitempty"`
	// An email address of its certificate, instead of the subject. Default: none.
	CertificateEmail string `json:"tls_client_auth_san_email,omitempty"`
}

// ClientSecret is one secret of a client.
type ClientSecret struct {
	// The secret, at least 32 bytes. Required.
	Secret string `json:"secret"`
	// When it stops working (RFC 3339). Default: never.
	Expires time.Time `json:"expires,omitzero"`
}

const minClientSecret = 32 // bytes

// domain returns the client as the store declares it. Secrets and keys that are known only once
// the configuration is provisioned stand for themselves: resolve fills them in.
func (c *Client) domain(limits project.Limits) (clients.Client, error) {
	declared := clients.Client{
		ID:       c.ID,
		Project:  c.project(),
		Name:     c.Name,
		Settings: c.settings(),
		Audience: c.Audience,
		Scopes:   c.Scopes,
		Claims:   c.Claims,
	}
	for i, s := range c.Secrets {
		declared.Secrets = append(declared.Secrets, clients.Secret{Number: i + 1, Hash: unresolved, Expires: s.Expires})
	}
	err := c.options(&declared, limits)
	if err == nil && clients.IsBuiltIn(c.ID) {
		err = fmt.Errorf("the id is reserved for the server's own sign-in")
	}
	if err == nil {
		err = errors.Join(declared.ValidateFields(), validateClaims(c.Claims))
	}
	return declared, err
}

// unresolved stands for the hash of a secret that is not known yet.
const unresolved = "?"

// options sets lifetimes, presets and the options of tokens.
func (c *Client) options(declared *clients.Client, limits project.Limits) (err error) {
	if c.PKCE != "" && c.PKCE != "optional" && c.PKCE != "required" {
		return fmt.Errorf("pkce: %q is neither required nor optional", c.PKCE)
	}
	declared.TokenOptions, err = tokenOptions(c.AccessTokenFormat, c.RefreshRotation, c.RefreshReuseInterval)
	if err != nil {
		return err
	}
	if slices.Contains(clients.Presets, c.Preset) {
		declared.Lifetimes = c.Lifetimes.domain()
		err = declared.ApplyPreset(c.Preset)
	} else {
		declared.Lifetimes, err = lifetimesOver(c.Lifetimes.domain(), c.Preset)
	}
	if err != nil {
		return err
	}
	return declared.Lifetimes.Validate(limits)
}

func (c *Client) settings() clients.Settings {
	return clients.Settings{
		RedirectURIs:           c.RedirectURIs,
		PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		BackchannelLogoutURI:   c.BackchannelLogoutURI,
		URI:                    c.URI,
		GrantTypes:             clients.LongGrantTypes(c.GrantTypes),
		TokenExchange:          c.TokenExchange,
		Introspection:          c.Introspection,
		IdentityAssertions:     c.identityAssertions(),
		ResponseModes:          c.ResponseModes,
		Resources:              c.Resources,
		AuthMethod:             c.AuthMethod,
		JWKS:                   c.jwks(),
		JWKSURI:                c.JWKSURI,
		IDTokenAlgorithm:       c.IDTokenAlgorithm,
		PKCEOptional:           c.PKCE == "optional",
		PARRequired:            c.PARRequired,
		DPoPBound:              c.DPoPBound,
		Consent:                c.Consent,
		CertificateBound:       c.CertificateBound,
		CertificateSubject:     c.CertificateSubject,
		CertificateDNS:         c.CertificateDNS,
		CertificateURI:         c.CertificateURI,
		CertificateIP:          c.CertificateIP,
		CertificateEmail:       c.CertificateEmail,
	}
}

// jwks returns the keys, and some key where they are known only later.
func (c *Client) jwks() json.RawMessage {
	if len(c.JWKS) > 0 && c.JWKS[0] == '"' {
		return json.RawMessage(`{"keys":[{"kty":"EC"}]}`)
	}
	return c.JWKS
}

// resolve returns the client with its secrets and keys.
func (c *Client) resolve(r option.Resolver, limits project.Limits) (clients.Client, error) {
	declared, err := c.domain(limits)
	for i := range c.Secrets {
		var secret string
		if err == nil {
			secret, err = r.Text("secret", c.Secrets[i].Secret)
		}
		if err == nil && len(secret) < minClientSecret {
			err = fmt.Errorf("secret: %d bytes are below the limit of %d", len(secret), minClientSecret)
		}
		if err == nil {
			declared.Secrets[i].Hash = secrets.Hash(secret)
		}
	}
	if n := len(declared.Secrets); err == nil && n > 1 && declared.Secrets[n-1].Hash == declared.Secrets[0].Hash {
		err = errors.New("secret: the second one is the same as the first") // of two ends one would not count
	}
	if err == nil && len(c.JWKS) > 0 && c.JWKS[0] == '"' {
		declared.JWKS, err = c.resolveJWKS(r)
	}
	if err == nil {
		err = declared.Validate()
	}
	if err == nil {
		err = hasUsableKey(declared)
	}
	if err != nil {
		return clients.Client{}, fmt.Errorf("client %q: %w", c.ID, oneLine(err))
	}
	return declared, nil
}

// hasUsableKey refuses a client that has keys but could prove itself with none of them, such as a
// short RSA key or one without a certificate: it would only ever be told that it did not
// authenticate.
func hasUsableKey(c clients.Client) (err error) {
	switch {
	case len(c.JWKS) == 0:
		return nil
	case c.AuthMethod == clients.AuthSelfSignedTLS:
		_, err = keyring.ParseCertificates(c.JWKS)
	default:
		_, err = keyring.ParseKeySet(c.JWKS, slices.DeleteFunc(keyring.Algorithms(), func(alg string) bool {
			return !c.AllowsAssertionAlgorithm(alg)
		}))
	}
	if err != nil {
		return fmt.Errorf("jwks: %w", err)
	}
	return nil
}

func (c *Client) resolveJWKS(r option.Resolver) (json.RawMessage, error) {
	var text string
	if err := json.Unmarshal(c.JWKS, &text); err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	text, err := r.Text("jwks", text)
	if err == nil && !json.Valid([]byte(text)) {
		err = errors.New("jwks: it is not a JWK set")
	}
	return json.RawMessage(text), err
}

func (c *Client) project() string {
	if c.Project == "" {
		return project.Default
	}
	return c.Project
}

func (s *Settings) validateClients() error {
	for i := range s.Clients {
		if err := s.validateClient(i, true); err != nil {
			return err
		}
	}
	return nil
}

// validateClient refuses the client with the index i. One that is not whole may still be told what
// it lacks.
func (s *Settings) validateClient(i int, whole bool) error {
	c := &s.Clients[i]
	if slices.ContainsFunc(s.Clients[:i], func(o Client) bool { return o.ID == c.ID }) {
		return fmt.Errorf("client %q: duplicate", c.ID)
	}
	declared, err := c.domain(s.Limits.domain())
	if err == nil && whole {
		err = declared.Validate()
	}
	if err != nil {
		return fmt.Errorf("client %q: %w", c.ID, oneLine(err))
	}
	return nil
}
