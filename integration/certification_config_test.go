package integration

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// registeredMetadata are the names of the IANA registry "OAuth Authorization Server Metadata" that a
// server like this may have, and those of OpenID Connect logout and of client metadata documents, which
// the certification knows, too.
const registeredMetadata = `
	issuer authorization_endpoint token_endpoint jwks_uri registration_endpoint scopes_supported
	response_types_supported response_modes_supported grant_types_supported token_endpoint_auth_methods_supported
	token_endpoint_auth_signing_alg_values_supported service_documentation ui_locales_supported op_policy_uri
	op_tos_uri revocation_endpoint revocation_endpoint_auth_methods_supported
	revocation_endpoint_auth_signing_alg_values_supported introspection_endpoint
	introspection_endpoint_auth_methods_supported introspection_endpoint_auth_signing_alg_values_supported
	code_challenge_methods_supported signed_metadata device_authorization_endpoint
	tls_client_certificate_bound_access_tokens mtls_endpoint_aliases userinfo_endpoint acr_values_supported
	subject_types_supported id_token_signing_alg_values_supported id_token_encryption_alg_values_supported
	id_token_encryption_enc_values_supported userinfo_signing_alg_values_supported
	userinfo_encryption_alg_values_supported userinfo_encryption_enc_values_supported
	request_object_signing_alg_values_supported request_object_encryption_alg_values_supported
	request_object_encryption_enc_values_supported display_values_supported claim_types_supported claims_supported
	claims_locales_supported claims_parameter_supported request_parameter_supported request_uri_parameter_supported
	require_request_uri_registration require_signed_request_object pushed_authorization_request_endpoint
	require_pushed_authorization_requests introspection_signing_alg_values_supported
	introspection_encryption_alg_values_supported introspection_encryption_enc_values_supported
	authorization_response_iss_parameter_supported check_session_iframe frontchannel_logout_supported
	backchannel_logout_supported backchannel_logout_session_supported end_session_endpoint
	backchannel_token_delivery_modes_supported backchannel_authentication_endpoint
	backchannel_authentication_request_signing_alg_values_supported backchannel_user_code_parameter_supported
	authorization_details_types_supported dpop_signing_alg_values_supported
	authorization_signing_alg_values_supported authorization_encryption_alg_values_supported
	authorization_encryption_enc_values_supported protected_resources
	frontchannel_logout_session_supported client_id_metadata_document_supported
`

// configModules are the requirements of the plan config, which has one module.
var configModules = []module{
	{"addresses", "JSON; the issuer is the address; every endpoint is https and answers", func(c *certified) {
		d := c.metadata(c.t, "/.well-known/openid-configuration") // which holds it to its media type
		if issuer := d["issuer"]; issuer != c.url("auth") || !strings.HasPrefix(c.url("auth"), "https://") {
			c.t.Errorf("issuer %v", issuer)
		}
		for _, name := range []string{"authorization", "token", "userinfo"} {
			if d[name+"_endpoint"] == nil {
				c.t.Errorf("no %s_endpoint", name)
			}
		}
		if d["jwks_uri"] == nil {
			c.t.Error("no jwks_uri")
		}
		c.checkAddresses(c.t, d)
	}},
	{"response_types_supported", "`code`", func(c *certified) { c.lists("response_types_supported", "code") }},
	{"subject_types_supported", "`public`", func(c *certified) { c.lists("subject_types_supported", "public") }},
	{"id_token_signing_alg_values_supported", "RS256 among others, and not `none`", func(c *certified) {
		c.lists("id_token_signing_alg_values_supported", "RS256")
		if slices.Contains(c.listed("id_token_signing_alg_values_supported"), "none") {
			c.t.Error("none is listed")
		}
	}},
	{"scopes_supported", "`openid`, and all standard scopes", func(c *certified) {
		c.lists("scopes_supported", "openid", "profile", "email", "address", "phone", "offline_access")
	}},
	{"claims_supported", "all claims of the standard scopes", func(c *certified) {
		for _, names := range scopeClaims {
			c.lists("claims_supported", strings.Fields(names)...)
		}
	}},
	{"request_object_signing_alg_values_supported", "RS256 in it, or no such list as here", func(c *certified) {
		const name = "request_object_signing_alg_values_supported"
		if _, there := c.metadata(c.t, "/.well-known/openid-configuration")[name]; there {
			c.lists(name, "RS256")
		}
	}},
	{"names", "registered, or known to the suite", func(c *certified) {
		known := strings.Fields(registeredMetadata)
		for name := range c.metadata(c.t, "/.well-known/openid-configuration") {
			if !slices.Contains(known, name) {
				c.t.Errorf("%s is not registered", name)
			}
		}
	}},
	{"jwks", "public keys alone, each with a `kid` of its own", (*certified).publishesPublicKeys},
}

// listed are the values of a list of the metadata.
func (c *certified) listed(name string) (values []string) {
	c.t.Helper()
	list, _ := c.metadata(c.t, "/.well-known/openid-configuration")[name].([]any)
	for _, value := range list {
		text, isText := value.(string)
		if !isText || slices.Contains(values, text) {
			c.t.Errorf("%s has %v", name, list)
		}
		values = append(values, text)
	}
	return values
}

// lists holds a list of the metadata to values.
func (c *certified) lists(name string, want ...string) {
	c.t.Helper()
	got := c.listed(name)
	for _, value := range want {
		if !slices.Contains(got, value) {
			c.t.Errorf("%s is %q, without %s", name, got, value)
		}
	}
}

func (c *certified) publishesPublicKeys() {
	c.t.Helper()
	address, _ := c.metadata(c.t, "/.well-known/openid-configuration")["jwks_uri"].(string)
	p := c.get(address)
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal([]byte(p.body), &set); err != nil || p.status != 200 || len(set.Keys) < 2 {
		c.t.Fatalf("%d %v: %s", p.status, err, p.body)
	}
	seen, algorithms := map[any]bool{}, map[any]bool{}
	for _, key := range set.Keys {
		if id, _ := key["kid"].(string); id == "" || seen[id] {
			c.t.Errorf("kid %v", key["kid"])
		}
		seen[key["kid"]], algorithms[key["alg"]] = true, true
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, there := key[private]; there {
				c.t.Errorf("key %v has %s", key["kid"], private)
			}
		}
	}
	if !algorithms["RS256"] {
		c.t.Errorf("algorithms %v", algorithms)
	}
}

// TestCertificationConfig is the plan config: what is in the metadata where everything is on.
func TestCertificationConfig(t *testing.T) {
	x := newCertified(t, everythingOn)
	x.runModules(t, "", configModules)
}

// everythingOn lets clients come by themselves, in both ways.
const everythingOn = `
	registration {
		open
		scopes openid profile email address phone offline_access
		address_rate 1000 1m
		total_rate 1000 1m
	}
	client_metadata {
		scopes openid
	}
`
