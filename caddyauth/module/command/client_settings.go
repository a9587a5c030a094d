package command

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// clientFlag is a flag with the member of the API that it sets.
type clientFlag struct{ flag, member, usage string }

// clientTexts are settings with one value. Empty is the default.
var clientTexts = []clientFlag{
	{"client-uri", "client_uri", "its home page, for the consent page"},
	{"backchannel-logout-uri", "backchannel_logout_uri", "what is told of the end of sign-ins"},
	{"auth-method", "token_endpoint_auth_method",
		"none, client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth or " +
			"self_signed_tls_client_auth"},
	{"jwks-uri", "jwks_uri", "where its public keys are fetched from"},
	{"id-token-alg", "id_token_signed_response_alg", "RS256, ES256, EdDSA or PS256 (default: RS256)"},
	{"pkce", "pkce", "required or optional"},
	{"consent", "consent", "always, once or off (default: once)"},
	{"preset", "preset", "fapi2"},
	{"access-token-format", "access_token_format", "jwt or opaque (default: the project's)"},
	{"certificate-subject", "tls_client_auth_subject_dn",
		"the subject of its certificate for tls_client_auth, like CN=billing,O=Example"},
	{"certificate-dns", "tls_client_auth_san_dns", "a DNS name of that certificate"},
	{"certificate-uri", "tls_client_auth_san_uri", "a URI of that certificate"},
	{"certificate-ip", "tls_client_auth_san_ip", "an IP address of that certificate"},
	{"certificate-email", "tls_client_auth_san_email", "an email address of that certificate"},
}

// clientLists are settings with several values. One empty value empties the list.
var clientLists = []clientFlag{
	{"audience", "audience", "the audience of its tokens if a request names none (default: api)"},
	{"scope", "scopes", "a scope that it may ask for (default: none)"},
	{"grant-type", "grant_types", "what it may use at the token endpoint (default: authorization_code,refresh_token)"},
	{"token-exchange", "token_exchange", "a client whose access tokens it may exchange (default: none)"},
	{"response-mode", "response_modes", "query or form_post (default: both)"},
}

// clientURIs are lists whose values may have commas.
var clientURIs = []clientFlag{
	{"redirect-uri", "redirect_uris", "where authorization responses may be sent; repeatable"},
	{"post-logout-redirect-uri", "post_logout_redirect_uris", "where a sign-out may lead; repeatable"},
	{"introspection", "introspection", "an audience or resource whose tokens it may ask about (RFC 7662); repeatable"},
	{"resource", "resources", "what it may name as resource (RFC 8707); repeatable"},
}

// clientSwitches are on or off.
var clientSwitches = []clientFlag{
	{"require-par", "require_pushed_authorization_requests", "refuse authorization requests that were not pushed"},
	{"dpop", "dpop_bound_access_tokens", "refuse token requests without a DPoP proof"},
	{"certificate-bound", "tls_client_certificate_bound_access_tokens",
		"refuse token requests without a TLS client certificate"},
}

// addClientFlags adds the flags of every setting.
func addClientFlags(flags *pflag.FlagSet) {
	flags.String("name", "", "the display name (default: the id)")
	for _, f := range clientTexts {
		flags.String(f.flag, "", f.usage)
	}
	for _, f := range clientLists {
		flags.StringSlice(f.flag, nil, f.usage)
	}
	for _, f := range clientURIs {
		flags.StringArray(f.flag, nil, f.usage)
	}
	for _, f := range clientSwitches {
		flags.Bool(f.flag, false, f.usage)
	}
	flags.StringArray("claim", nil, "a claim of its tokens as name=value, as for users")
	flags.StringArray("identity-assertion", nil,
		`where it gets identity assertions for, as "issuer client_id=id scope=word resource=uri"; repeatable`)
	flags.String("jwks", "", "the file of a JWK set with its public keys")
	flags.String("refresh-rotation", "", "on, off or default: whether a refresh token is good only once")
	flags.String("refresh-reuse-interval", "",
		"how long the refresh token before gets the same successor, like 10s, or default")
}

// clientSettings makes the members of the flags that were given.
func clientSettings(flags *pflag.FlagSet) (map[string]any, error) {
	body := map[string]any{}
	if flags.Changed("name") {
		body["name"], _ = flags.GetString("name")
	}
	for _, f := range clientTexts {
		if text, _ := flags.GetString(f.flag); text != "" {
			body[f.member] = text
		} else if flags.Changed(f.flag) {
			body[f.member] = nil
		}
	}
	for _, f := range clientLists {
		if list, _ := flags.GetStringSlice(f.flag); flags.Changed(f.flag) {
			body[f.member] = withoutEmpty(list)
		}
	}
	for _, f := range clientURIs {
		if list, _ := flags.GetStringArray(f.flag); flags.Changed(f.flag) {
			body[f.member] = withoutEmpty(list)
		}
	}
	for _, f := range clientSwitches {
		if flags.Changed(f.flag) {
			body[f.member], _ = flags.GetBool(f.flag)
		}
	}
	return body, addSpecialSettings(flags, body)
}

// addSpecialSettings adds the members of flags that need reading.
func addSpecialSettings(flags *pflag.FlagSet, body map[string]any) (err error) {
	if claims, _ := flags.GetStringArray("claim"); flags.Changed("claim") {
		if body["claims"], err = parseClaims(claims); err != nil {
			return err
		}
	}
	if lines, _ := flags.GetStringArray("identity-assertion"); flags.Changed("identity-assertion") {
		if body["identity_assertions"], err = parseAssertions(withoutEmpty(lines)); err != nil {
			return err
		}
	}
	if path, _ := flags.GetString("jwks"); flags.Changed("jwks") {
		if body["jwks"], err = readJWKS(path); err != nil {
			return err
		}
	}
	if word, _ := flags.GetString("refresh-rotation"); flags.Changed("refresh-rotation") {
		rotation, known := map[string]any{"on": true, "off": false, "default": nil}[word]
		if !known {
			return fmt.Errorf("--refresh-rotation: %q is neither on, off nor default", word)
		}
		body["refresh_rotation"] = rotation
	}
	if text, _ := flags.GetString("refresh-reuse-interval"); flags.Changed("refresh-reuse-interval") {
		if body["refresh_reuse_interval"], err = parseSeconds("refresh-reuse-interval", text); err != nil {
			return err
		}
	}
	return nil
}

func withoutEmpty(list []string) []string {
	kept := []string{}
	for _, word := range list {
		if word != "" {
			kept = append(kept, word)
		}
	}
	return kept
}

// readJWKS reads a file; nil without one.
func readJWKS(path string) (any, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--jwks: %w", err)
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("--jwks: %s is not JSON", path)
	}
	return json.RawMessage(text), nil
}

func clientSetCommand() *cobra.Command {
	cmd := adminCommand(&cobra.Command{
		Use:   "set <id>",
		Short: "Changes the settings of a client",
		Long: `Changes the settings that are given. A list takes the place of the one before; an empty
value goes back to the default.`,
		Example: `  $ caddy auth client set reports --redirect-uri https://reports.example.com/callback
  $ caddy auth client set reports --consent "" --pkce required
  $ caddy auth client set reports --auth-method private_key_jwt --jwks reports.jwks`,
		Args: cobra.ExactArgs(1),
	}, func(r *adminClient, args []string) error {
		body, err := clientSettings(r.cmd.Flags())
		if err != nil {
			return err
		}
		return r.printObject(r.requestOne(http.MethodPatch, "client", "clients/{id}", args[0], body))
	})
	addClientFlags(cmd.Flags())
	return cmd
}
