package clients

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// PresetFAPI2 makes a client one of the FAPI 2.0 security profile: pushed authorization requests,
// private_key_jwt or a TLS certificate, tokens that are bound to a key (DPoP) or to a certificate,
// codes of 60 s, and refresh tokens that are not rotated.
const PresetFAPI2 = "fapi2"

// Presets are the names of all presets of clients. Those of lifetimes are in package project.
var Presets = []string{PresetFAPI2}

// longestFAPI2Code is the longest lifetime of a code in the FAPI 2.0 security profile (section
// 5.3.2.1).
const longestFAPI2Code = time.Minute

// fapi2Auth are the methods of section 5.3.2.1.
var fapi2Auth = []string{AuthPrivateKeyJWT, AuthTLS, AuthSelfSignedTLS}

// ApplyPreset sets what a preset says where the client says nothing. What contradicts the preset
// is left for Validate to refuse.
func (c *Client) ApplyPreset(name string) error {
	if !slices.Contains(Presets, name) {
		return fmt.Errorf("preset: %q is unknown, want one of %q", name, Presets)
	}
	c.Preset, c.PARRequired = name, true
	c.DPoPBound = c.DPoPBound || !c.CertificateBound
	if c.AuthMethod == "" {
		c.AuthMethod = AuthPrivateKeyJWT
	}
	if c.IDTokenAlgorithm == "" {
		c.IDTokenAlgorithm = "ES256" // RS256 is not among those of section 5.4.1
	}
	if c.RefreshRotation == project.Inherit {
		c.RefreshRotation = project.Off
	}
	if c.Lifetimes.Code == 0 {
		c.Lifetimes.Code = longestFAPI2Code
	}
	return nil
}

// validatePreset refuses a client that has a preset and does not keep to it.
func (c Client) validatePreset() error {
	switch {
	case c.Preset == "":
		return nil
	case !slices.Contains(Presets, c.Preset):
		return fmt.Errorf("preset: %q is unknown, want one of %q", c.Preset, Presets)
	}
	var found []error
	for _, rule := range []struct {
		kept bool
		want string
	}{
		{c.PARRequired, "require_pushed_authorization_requests"},
		{c.DPoPBound || c.CertificateBound,
			"dpop_bound_access_tokens or tls_client_certificate_bound_access_tokens"},
		{slices.Contains(fapi2Auth, c.AuthMethod), "token_endpoint_auth_method " + strings.Join(fapi2Auth, " or ")},
		{!c.PKCEOptional, "PKCE"},
		{c.SignsIDTokenWith() != DefaultIDTokenAlgorithm, "id_token_signed_response_alg ES256 or EdDSA"},
		{c.RefreshRotation == project.Off, "refresh_rotation off"},
		{c.Own().Code > 0 && c.Own().Code <= longestFAPI2Code, "an authorization_code lifetime of at most 60s"},
	} {
		if !rule.kept {
			found = append(found, fmt.Errorf("preset %s: it needs %s", c.Preset, rule.want))
		}
	}
	return errors.Join(found...)
}

// AllowsAssertionAlgorithm reports whether an assertion of the client may be signed with that
// algorithm: an asymmetric one, and not RSA with PKCS #1 v1.5 padding in the FAPI 2.0 security
// profile (section 5.4.1).
func (c Client) AllowsAssertionAlgorithm(alg string) bool {
	switch alg {
	case "PS256", "ES256", "EdDSA":
		return true
	case "RS256":
		return c.Preset != PresetFAPI2
	}
	return false
}
