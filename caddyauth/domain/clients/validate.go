package clients

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// Validate refuses a client that cannot be; the errors name the field, the value and the limit.
// Claims are not looked at.
func (c Client) Validate() error {
	return errors.Join(
		c.ValidateFields(),
		c.validateAuth(),
		c.validateGrants(),
		c.validateAssertionGrant(),
		c.validateConsent(),
		c.validatePreset(),
	)
}

// ValidateFields refuses what no client can have, whatever else is still to be said of it.
func (c Client) ValidateFields() error {
	return errors.Join(
		c.validateID(),
		project.ValidateName(c.Name),
		project.ValidateWords("audience", c.Audience),
		project.ValidateWords("scopes", c.Scopes),
		project.ValidateWords("introspection", c.Introspection),
		c.TokenOptions.Validate(),
		validateSecrets(c.Secrets),
		c.Settings.validate(),
	)
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,128}$`)

// ValidateID refuses what cannot be the id of a client that is stored: neither 1 to 128 letters,
// digits and -._~, nor the URL of a metadata document.
func ValidateID(id string) error {
	switch {
	case id == ".", id == "..": // the management API has ids in its paths
		return fmt.Errorf("id: %q is no name in a path", id)
	case idForm.MatchString(id), IsDocument(id):
		return nil
	}
	return fmt.Errorf("id: %.140q is not 1 to 128 letters, digits and -._~", id)
}

func (c Client) validateID() error {
	switch err := ValidateID(c.ID); {
	case IsBuiltIn(c.ID):
		return fmt.Errorf("id: %q belongs to the server's own sign-in", c.ID)
	case err != nil:
		return err
	case IsDocument(c.ID) != (c.Source == MetadataDocument):
		return fmt.Errorf("id: %.140q: a URL is the id of a client of a metadata document, and of no other", c.ID)
	}
	return nil
}

// validate looks at each setting by itself.
func (s Settings) validate() error {
	return errors.Join(
		validateURIs("redirect_uri", s.RedirectURIs, ValidateRedirectURI),
		validateURIs("post_logout_redirect_uri", s.PostLogoutRedirectURIs, ValidateRedirectURI),
		validateURIs("backchannel_logout_uri", optional(s.BackchannelLogoutURI), ValidateWebURI),
		validateURIs("client_uri", optional(s.URI), ValidateWebURI),
		validateURIs("jwks_uri", optional(s.JWKSURI), ValidateWebURI),
		validateURIs("resource", s.Resources, validateResource),
		validateAmong("grant_types", s.GrantTypes, GrantTypes),
		validateAmong("response_modes", s.ResponseModes, ResponseModes),
		validateAmong("token_endpoint_auth_method", optional(s.AuthMethod), AuthMethods),
		validateAmong("id_token_signed_response_alg", optional(s.IDTokenAlgorithm), IDTokenAlgorithms),
		validateAmong("consent", optional(s.Consent), ConsentPolicies),
		validateAmong("preset", optional(s.Preset), Presets),
		validateAmong("source", optional(s.Source), []string{Registered, MetadataDocument}),
		validateJWKS(s.JWKS),
		validateExchange(s.TokenExchange),
		validateAssertions(s.IdentityAssertions),
		s.validateCertificateNames(),
	)
}

func optional(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

func validateURIs(field string, uris []string, validate func(string) error) error {
	if len(uris) > maxURIs {
		return fmt.Errorf("%s: %d are above the limit of %d", field, len(uris), maxURIs)
	}
	for i, uri := range uris {
		if err := validate(uri); err != nil {
			return fmt.Errorf("%s: %.200q: %w", field, uri, err)
		}
		if slices.Contains(uris[:i], uri) {
			return fmt.Errorf("%s: duplicate %.200q", field, uri)
		}
	}
	return nil
}

func validateResource(uri string) error {
	_, err := parseURI(uri)
	return err
}

// validateExchange refuses what cannot be the id of a client. Whether there is one does not matter.
func validateExchange(ids []string) error {
	if len(ids) > maxURIs {
		return fmt.Errorf("token_exchange: %d are above the limit of %d", len(ids), maxURIs)
	}
	for i, id := range ids {
		if err := ValidateID(id); err != nil {
			return fmt.Errorf("token_exchange: %w", err)
		}
		if slices.Contains(ids[:i], id) {
			return fmt.Errorf("token_exchange: duplicate %.140q", id)
		}
	}
	return nil
}

func validateAmong(field string, values, among []string) error {
	for i, v := range values {
		if !slices.Contains(among, v) {
			return fmt.Errorf("%s: %.70q is not one of %q", field, v, among)
		}
		if slices.Contains(values[:i], v) {
			return fmt.Errorf("%s: duplicate %q", field, v)
		}
	}
	return nil
}

const (
	maxJWKS = 32 << 10 // bytes
	maxKeys = 20
)

// validateJWKS refuses what is not a set of public keys. Whoever verifies with them reads them.
func validateJWKS(text json.RawMessage) error {
	if len(text) == 0 {
		return nil
	}
	// Not a struct, which would take "KEYS" in place of the member that is read later.
	var set map[string]json.RawMessage
	var keys []map[string]any
	err := json.Unmarshal(text, &set)
	if err == nil {
		err = json.Unmarshal(set["keys"], &keys)
	}
	switch {
	case len(text) > maxJWKS:
		return fmt.Errorf("jwks: %d bytes are above the limit of %d", len(text), maxJWKS)
	case err != nil || len(keys) == 0 || len(keys) > maxKeys:
		return fmt.Errorf("jwks: it is not a JWK set of 1 to %d keys", maxKeys)
	}
	for i, key := range keys {
		if !slices.Contains([]any{"RSA", "EC", "OKP"}, key["kty"]) {
			return fmt.Errorf("jwks: key %d is not an RSA, EC or OKP key", i+1)
		}
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if key[private] != nil {
				return fmt.Errorf("jwks: key %d is a private key", i+1)
			}
		}
	}
	return nil
}

// validateAuth refuses a client that could not prove itself as it says, or in two ways.
func (c Client) validateAuth() error {
	if err := c.validateKeys(); err != nil {
		return err
	}
	switch c.AuthMethod {
	case AuthSecretBasic, AuthSecretPost:
		if len(c.Secrets) == 0 {
			return fmt.Errorf("token_endpoint_auth_method %s: it needs a secret", c.AuthMethod)
		}
	case AuthNone:
		if len(c.Secrets) > 0 {
			return errors.New("token_endpoint_auth_method none: the client has a secret")
		}
	case AuthPrivateKeyJWT, AuthTLS, AuthSelfSignedTLS:
		if len(c.Secrets) > 0 {
			return fmt.Errorf("token_endpoint_auth_method %s: the client has a secret besides", c.AuthMethod)
		}
	}
	return c.validateCertificateAuth()
}

// validateKeys refuses keys without the method that they are for, and the method without keys.
func (c Client) validateKeys() error {
	set, uri := len(c.JWKS) > 0, c.JWKSURI != ""
	switch needed := c.AuthMethod == AuthPrivateKeyJWT || c.AuthMethod == AuthSelfSignedTLS; {
	case needed && set == uri:
		return fmt.Errorf("token_endpoint_auth_method %s: it needs either jwks or jwks_uri", c.AuthMethod)
	case !needed && (set || uri):
		return fmt.Errorf("jwks: keys are for token_endpoint_auth_method %s and %s only",
			AuthPrivateKeyJWT, AuthSelfSignedTLS)
	}
	return nil
}

// confidentialGrants are for clients that prove themselves.
var confidentialGrants = []string{GrantClientCredentials, GrantExchange, GrantJWTBearer}

func (c Client) validateGrants() error {
	if len(c.RedirectURIs) == 0 && slices.Contains(c.GrantTypes, GrantCode) {
		return fmt.Errorf("grant_types: %s needs a redirect_uri", GrantCode)
	}
	if !c.Public() {
		return nil
	}
	for _, grant := range c.GrantTypes {
		if slices.Contains(confidentialGrants, grant) {
			return fmt.Errorf("grant_types: %s is for clients with a secret or a key", grant)
		}
	}
	if len(c.Introspection) > 0 {
		return errors.New("introspection: it is for clients with a secret or a key")
	}
	if c.PKCEOptional {
		return errors.New("pkce: only a client with a secret or a key can do without")
	}
	return nil
}

func (c Client) validateConsent() error {
	if c.SelfRegistered() && cmp.Or(c.Consent, ConsentOnce) == ConsentOff {
		return errors.New("consent: off is for clients that the operator declared")
	}
	return nil
}
