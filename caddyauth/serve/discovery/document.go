package discovery

import (
	"strings"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
)

// Document is the metadata of the authorization server. Both documents are this one: a client reads
// what it knows (RFC 8414, section 2; OpenID Connect Discovery 1.0, section 3).
type Document struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	PushedRequestEndpoint string `json:"pushed_authorization_request_endpoint"` // RFC 9126, section 5
	TokenEndpoint         string `json:"token_endpoint"`
	DeviceEndpoint        string `json:"device_authorization_endpoint"` // RFC 8628, section 4
	RevocationEndpoint    string `json:"revocation_endpoint"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
	UserInfoEndpoint      string `json:"userinfo_endpoint"`
	EndSessionEndpoint    string `json:"end_session_endpoint"` // OpenID Connect RP-Initiated Logout, section 2.1
	RegistrationEndpoint  string `json:"registration_endpoint,omitempty"`
	JWKSURI               string `json:"jwks_uri"`

	SubjectTypesSupported  []string `json:"subject_types_supported"`
	IDTokenSigningAlgs     []string `json:"id_token_signing_alg_values_supported,omitempty"`
	ClaimsSupported        []string `json:"claims_supported,omitempty"`
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported []string `json:"response_types_supported"` // required by RFC 8414
	ResponseModesSupported []string `json:"response_modes_supported"`
	GrantTypesSupported    []string `json:"grant_types_supported"`
	CodeChallengeMethods   []string `json:"code_challenge_methods_supported"`
	ACRValuesSupported     []string `json:"acr_values_supported"`

	// draft-ietf-oauth-identity-assertion-authz-grant, sections 7.1 and 7.2
	ChainingTokenTypes []string `json:"identity_chaining_requested_token_types_supported,omitempty"`
	GrantProfiles      []string `json:"authorization_grant_profiles_supported,omitempty"`

	ClaimsParameterSupported bool `json:"claims_parameter_supported"`
	ClientDocuments          bool `json:"client_id_metadata_document_supported,omitempty"`
	IssuerInResponses        bool `json:"authorization_response_iss_parameter_supported"` // RFC 9207, section 3

	TokenEndpointAuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
	RevocationEndpointAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionEndpointAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`

	TokenEndpointSigningAlgs         []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationEndpointSigningAlgs    []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionEndpointSigningAlgs []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`

	// OpenID Connect Back-Channel Logout, section 2.1.
	BackchannelLogout        bool `json:"backchannel_logout_supported"`
	BackchannelLogoutSession bool `json:"backchannel_logout_session_supported"`

	// RFC 9701, section 7
	IntrospectionSigningAlgs []string `json:"introspection_signing_alg_values_supported,omitempty"`

	DPoPSigningAlgorithms []string `json:"dpop_signing_alg_values_supported"` // RFC 9449, section 5.1

	CertificateBoundTokens bool `json:"tls_client_certificate_bound_access_tokens,omitempty"` // RFC 8705, section 3.3

	// Their defaults are true where they are missing, or differ between the specifications.
	RequestParameterSupported    bool `json:"request_parameter_supported"`
	RequestURIParameterSupported bool `json:"request_uri_parameter_supported"`
}

// signInClaims are the claims of ID tokens that are not about the person alone.
const signInClaims = "sub iss aud exp iat auth_time nonce at_hash acr amr sid"

// document is what works at present, with or without the issue of identity assertions. Whoever makes
// something work adds its line.
func (s *Server) document(asserting bool) Document {
	asked, verified := s.certificates()
	confidential := authMethods(asked, verified)
	everyone := append(confidential[:len(confidential):len(confidential)], "none")
	registration := ""
	if s.Registration {
		registration = s.at("/register")
	}
	return Document{
		Issuer:                s.Issuer,
		AuthorizationEndpoint: s.at("/authorize"),
		PushedRequestEndpoint: s.at("/par"),
		TokenEndpoint:         s.at("/token"),
		DeviceEndpoint:        s.at("/device_authorization"),
		RevocationEndpoint:    s.at("/revoke"),
		IntrospectionEndpoint: s.at("/introspect"),
		UserInfoEndpoint:      s.at("/userinfo"),
		EndSessionEndpoint:    s.at("/logout"),
		RegistrationEndpoint:  registration,
		JWKSURI:               s.at("/jwks.json"),

		SubjectTypesSupported:  []string{"public"},
		IDTokenSigningAlgs:     s.IDTokenAlgorithms,
		ClaimsSupported:        append(strings.Fields(signInClaims), s.Claims...),
		ScopesSupported:        s.Scopes,
		ResponseTypesSupported: []string{"code"},
		ResponseModesSupported: []string{"query", "form_post"},
		GrantTypesSupported:    s.grantTypes(),
		ChainingTokenTypes:     chainingTokenTypes(asserting),
		GrantProfiles:          s.grantProfiles(),

		CodeChallengeMethods:     []string{"S256"},
		ACRValuesSupported:       []string{"pwd"},
		ClaimsParameterSupported: true,
		IssuerInResponses:        true,
		ClientDocuments:          s.ClientDocuments,

		TokenEndpointAuthMethods:         everyone,
		RevocationEndpointAuthMethods:    everyone,
		IntrospectionEndpointAuthMethods: confidential,

		TokenEndpointSigningAlgs:         assertionAlgorithms,
		RevocationEndpointSigningAlgs:    assertionAlgorithms,
		IntrospectionEndpointSigningAlgs: assertionAlgorithms,

		BackchannelLogout:        true,
		BackchannelLogoutSession: true,

		IntrospectionSigningAlgs: s.IDTokenAlgorithms,

		DPoPSigningAlgorithms: dpop.Algorithms(),

		CertificateBoundTokens: asked,
	}
}

// authMethods are those of clients that can keep a secret. Certificates are asked for by sites, and
// verified by some of them.
func authMethods(asked, verified bool) []string {
	methods := []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	if verified {
		methods = append(methods, "tls_client_auth")
	}
	if asked {
		methods = append(methods, "self_signed_tls_client_auth")
	}
	return methods
}

// assertionAlgorithms are what clients may sign assertions with
// (clients.Client.AllowsAssertionAlgorithm).
var assertionAlgorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}

// certificates says whether clients can have TLS certificates at all, and ones that are verified.
func (s *Server) certificates() (asked, verified bool) {
	if s.Certificates == nil {
		return false, false
	}
	return s.Certificates()
}

// at is the address of an endpoint.
func (s *Server) at(path string) string { return s.Base.String() + path }

// grantTypes are those of /token.
func (s *Server) grantTypes() []string {
	types := []string{
		"authorization_code", "refresh_token", "client_credentials",
		"urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange",
	}
	if s.IdentityAssertions {
		types = append(types, "urn:ietf:params:oauth:grant-type:jwt-bearer")
	}
	return types
}

// chainingTokenTypes are what clients get for other authorization servers.
func chainingTokenTypes(asserting bool) []string {
	if asserting {
		return []string{"urn:ietf:params:oauth:token-type:id-jag"}
	}
	return nil
}

// grantProfiles say which assertions are accepted.
func (s *Server) grantProfiles() []string {
	if s.IdentityAssertions {
		return []string{"urn:ietf:params:oauth:grant-profile:id-jag"}
	}
	return nil
}
