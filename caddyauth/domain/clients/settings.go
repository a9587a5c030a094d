package clients

import (
	"encoding/json"
	"slices"
	"strings"
)

// The grant types (RFC 6749, RFC 8628, RFC 8693, RFC 7523).
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantDevice            = "urn:ietf:params:oauth:grant-type:device_code"
	GrantExchange          = "urn:ietf:params:oauth:grant-type:token-exchange"
	GrantJWTBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// GrantTypes are all that a client can be given.
var GrantTypes = []string{GrantCode, GrantRefresh, GrantClientCredentials, GrantDevice, GrantExchange, GrantJWTBearer}

// LongGrantTypes returns grant types with their whole names; of one with a long name its last part
// is enough.
func LongGrantTypes(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	long := make([]string, len(words))
	for i, word := range words {
		long[i] = word
		for _, grant := range GrantTypes {
			if strings.HasSuffix(grant, ":"+word) {
				long[i] = grant
			}
		}
	}
	return long
}

// The ways of a client to prove itself at the token endpoint (RFC 7591, section 2; RFC 8705, section
// 2).
const (
	AuthNone          = "none"
	AuthSecretBasic   = "client_secret_basic"
	AuthSecretPost    = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
	AuthTLS           = "tls_client_auth"
	AuthSelfSignedTLS = "self_signed_tls_client_auth"
)

// AuthMethods are all that a client can use.
var AuthMethods = []string{
	AuthNone, AuthSecretBasic, AuthSecretPost, AuthPrivateKeyJWT, AuthTLS, AuthSelfSignedTLS,
}

// The ways of an authorization response to the client.
const (
	ModeQuery    = "query"
	ModeFormPost = "form_post"
)

// ResponseModes are all that a client can use.
var ResponseModes = []string{ModeQuery, ModeFormPost}

// When a person is asked whether a client may have what it asks for.
const (
	ConsentAlways = "always"
	ConsentOnce   = "once"
	ConsentOff    = "off"
)

// ConsentPolicies are all that a client can have.
var ConsentPolicies = []string{ConsentAlways, ConsentOnce, ConsentOff}

// DefaultIDTokenAlgorithm signs ID tokens where a client says nothing (OpenID Connect Core, section
// 15.1).
const DefaultIDTokenAlgorithm = "RS256"

// IDTokenAlgorithms are what an ID token can be signed with.
var IDTokenAlgorithms = []string{DefaultIDTokenAlgorithm, "ES256", "EdDSA", "PS256"}

// Where a client comes from if nobody who runs the server declared or added it.
const (
	// Registered clients registered themselves (RFC 7591).
	Registered = "registration"

	// MetadataDocument clients publish what they are at their client_id, which is a URL.
	MetadataDocument = "metadata_document"
)

// Settings are what OAuth and OpenID Connect know of a client besides its id, secrets, scopes and
// audience (RFC 7591, section 2). The store keeps them as one JSON object, so that a name, once
// released, stays.
type Settings struct {
	// RedirectURIs are where authorization responses may be sent; RedirectURI compares them.
	// Default: none.
	RedirectURIs []string `json:"redirect_uris,omitempty"`

	// PostLogoutRedirectURIs are where a browser may be sent after it was signed out. Default: none.
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`

	// BackchannelLogoutURI is told of the end of sign-ins. Default: nothing is told.
	BackchannelLogoutURI string `json:"backchannel_logout_uri,omitempty"`

	// URI is the client's home page, for the consent page. Default: none.
	URI string `json:"client_uri,omitempty"`

	// GrantTypes are what it may use at the token endpoint; AllowsGrant asks. Default:
	// authorization_code and refresh_token.
	GrantTypes []string `json:"grant_types,omitempty"`

	// ResponseModes are how it may ask to be answered; AllowsResponseMode asks. Default: all.
	ResponseModes []string `json:"response_modes,omitempty"`

	// Resources are what it may name as `resource` (RFC 8707); Resource compares them. Default:
	// none.
	Resources []string `json:"resources,omitempty"`

	// AuthMethod is how it proves itself; AllowsAuth asks. Default: with a secret
	// client_secret_basic or client_secret_post, whichever it sends, and without none.
	AuthMethod string `json:"token_endpoint_auth_method,omitempty"`

	// TokenExchange are the ids of the clients whose access tokens it may exchange (RFC 8693), its
	// own among them. Default: none.
	TokenExchange []string `json:"token_exchange,omitempty"`

	// Introspection are the audiences and resources that it serves: it may introspect access tokens for
	// them (RFC 7662), besides its own tokens. MayIntrospect has the rule. Default: none.
	Introspection []string `json:"introspection,omitempty"`

	// IdentityAssertions are the authorization servers for which it gets identity assertions, in
	// exchange for what it has of people who signed in here. Default: none.
	IdentityAssertions []AssertionAudience `json:"identity_assertions,omitempty"`

	// JWKS is a JWK set with the public keys of its assertions, or with its certificates. Default:
	// none.
	JWKS json.RawMessage `json:"jwks,omitempty"`

	// JWKSURI is where that set can be fetched. Default: none.
	JWKSURI string `json:"jwks_uri,omitempty"`

	// IDTokenAlgorithm signs its ID tokens; SignsIDTokenWith has the default. Default: RS256.
	IDTokenAlgorithm string `json:"id_token_signed_response_alg,omitempty"`

	// PKCEOptional lets a confidential client do without PKCE; RequiresPKCE asks. Default: PKCE is
	// required.
	PKCEOptional bool `json:"pkce_optional,omitempty"`

	// PARRequired refuses authorization requests that were not pushed (RFC 9126, section 6).
	PARRequired bool `json:"require_pushed_authorization_requests,omitempty"`

	// DPoPBound refuses token requests without a DPoP proof (RFC 9449, section 5.2).
	DPoPBound bool `json:"dpop_bound_access_tokens,omitempty"`

	// Consent is ConsentAlways, ConsentOnce or ConsentOff; ConsentPolicy has the default. Default:
	// once.
	Consent string `json:"consent,omitempty"`

	// Preset is a named set of settings that the client was given, and which Validate holds it to.
	// Default: none.
	Preset string `json:"preset,omitempty"`

	// Source is Registered or MetadataDocument. Default: whoever runs the server added it.
	Source string `json:"source,omitempty"`

	// CertificateBound refuses token requests without a TLS client certificate, to which the tokens
	// are bound (RFC 8705, section 3.4).
	CertificateBound bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`

	// What the certificate of AuthTLS names, of which a client has one (RFC 8705, section 2.1.2).
	// Default: none.
	CertificateSubject string `json:"tls_client_auth_subject_dn,omitempty"`
	CertificateDNS     string `json:"tls_client_auth_san_dns,omitempty"`
	CertificateURI     string `json:"tls_client_auth_san_uri,omitempty"`
	CertificateIP      string `json:"tls_client_auth_san_ip,omitempty"`
	CertificateEmail   string `json:"tls_client_auth_san_email,omitempty"`
}

var defaultGrants = []string{GrantCode, GrantRefresh}

// AllowsGrant reports whether the client may use that grant type.
func (c Client) AllowsGrant(grant string) bool {
	if len(c.GrantTypes) == 0 {
		return slices.Contains(defaultGrants, grant)
	}
	return slices.Contains(c.GrantTypes, grant)
}

// AllowsResponseMode reports whether an authorization response may be sent to the client that way.
func (c Client) AllowsResponseMode(mode string) bool {
	if len(c.ResponseModes) == 0 {
		return slices.Contains(ResponseModes, mode)
	}
	return slices.Contains(c.ResponseModes, mode)
}

// AllowsAuth reports whether the client may prove itself that way.
func (c Client) AllowsAuth(method string) bool {
	switch {
	case c.AuthMethod != "":
		return method == c.AuthMethod
	case c.Public():
		return method == AuthNone
	}
	return method == AuthSecretBasic || method == AuthSecretPost
}

// AllowsScopes narrows the scopes that a request names to those that the client may have, in the
// order of the request. A request that names none gets all of the client's. It is false when the
// client may have nothing of what was named.
func (c Client) AllowsScopes(asked ...string) (allowed []string, ok bool) {
	if len(asked) == 0 {
		return slices.Clone(c.Scopes), true
	}
	for _, scope := range asked {
		if slices.Contains(c.Scopes, scope) && !slices.Contains(allowed, scope) {
			allowed = append(allowed, scope)
		}
	}
	return allowed, len(allowed) > 0
}

// KeepsScopes returns the granted scopes that the client may still have. A scope that was taken from it
// is in no new token, however old the grant is.
func (c Client) KeepsScopes(granted []string) []string {
	return slices.DeleteFunc(slices.Clone(granted), func(scope string) bool {
		return !slices.Contains(c.Scopes, scope)
	})
}

// Resource returns the resource of the client that a request names, as the client has it.
func (c Client) Resource(presented string) (resource string, ok bool) {
	i := slices.IndexFunc(c.Resources, func(r string) bool { return SameResource(r, presented) })
	if i < 0 {
		return "", false
	}
	return c.Resources[i], true
}

// MayIntrospect reports whether the client may introspect an access token that was issued to clientID
// for an audience: its own tokens, and those for what it serves, which is its own id and what
// Introspection names. Clients that came by themselves may introspect only their own, because anybody
// can be one.
func (c Client) MayIntrospect(clientID string, audience []string) bool {
	if c.ID == clientID {
		return true
	}
	return !c.SelfRegistered() && slices.ContainsFunc(audience, func(a string) bool {
		return a == c.ID || slices.ContainsFunc(c.Introspection, func(own string) bool { return SameResource(own, a) })
	})
}

// SameResource reports whether two resource identifiers (RFC 8707) are the same byte for byte, but
// for a slash behind a bare origin, which clients add and drop.
func SameResource(a, b string) bool { return a == b || bareOrigin(a) == bareOrigin(b) }

// bareOrigin drops the slash behind an origin and leaves everything else as it is.
func bareOrigin(resource string) string {
	scheme, rest, found := strings.Cut(resource, "://")
	if host := strings.TrimSuffix(rest, "/"); found && !strings.ContainsAny(host, "/?#") {
		return scheme + "://" + host
	}
	return resource
}

// RequiresPKCE reports whether an authorization request must have a code challenge (RFC 7636).
func (c Client) RequiresPKCE() bool { return c.Public() || !c.PKCEOptional }

// SignsIDTokenWith returns the algorithm of the client's ID tokens.
func (c Client) SignsIDTokenWith() string {
	if c.IDTokenAlgorithm == "" {
		return DefaultIDTokenAlgorithm
	}
	return c.IDTokenAlgorithm
}

// ConsentPolicy returns when a person is asked.
func (c Client) ConsentPolicy() string {
	if c.Consent == "" {
		return ConsentOnce
	}
	return c.Consent
}

// SelfRegistered reports whether the client says itself what it is: nobody who runs the server has
// looked at its name and addresses.
func (c Client) SelfRegistered() bool { return c.Source != "" }
