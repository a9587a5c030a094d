package command

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

// newClient is what an application has to know of its client.
type newClient struct {
	ID            string   `json:"id"`
	Secret        string   `json:"client_secret"`
	AuthMethods   []string `json:"token_endpoint_auth_methods"`
	RedirectURIs  []string `json:"redirect_uris"`
	PostLogout    []string `json:"post_logout_redirect_uris"`
	GrantTypes    []string `json:"grant_types"`
	Scopes        []string `json:"scopes"`
	PKCE          string   `json:"pkce"`
	PAR           bool     `json:"require_pushed_authorization_requests"`
	IDTokensByAlg string   `json:"id_token_signed_response_alg"`
	DPoP          bool     `json:"dpop_bound_access_tokens"`

	CertificateBound bool `json:"tls_client_certificate_bound_access_tokens"`
}

// runningServer is what it has to know of the server.
type runningServer struct {
	Issuer    string `json:"issuer"`
	PublicURL string `json:"public_url"`
	Discovery string `json:"discovery_url"`
}

// printForApplication prints what the settings of an application ask for, each value as it is to be
// pasted. An application that reads the metadata needs none of the addresses below them.
func printForApplication(w io.Writer, client, server json.RawMessage) error {
	var c newClient
	var s runningServer
	if err := json.Unmarshal(client, &c); err != nil {
		return fmt.Errorf("the answer is not a client: %w", err)
	}
	if err := json.Unmarshal(server, &s); err != nil {
		return fmt.Errorf("the answer does not describe the server: %w", err)
	}
	rows := append(c.rows(s), c.addresses(s.PublicURL)...)
	for i := range rows {
		rows[i][1] = terminal.Printable(rows[i][1])
	}
	fmt.Fprintln(w, "\nFor the settings of the application:")
	terminal.Columns(w, rows)
	return nil
}

func (c newClient) has(grant string) bool { return slices.Contains(c.GrantTypes, grant) }

// rows are the values that most settings ask for.
func (c newClient) rows(s runningServer) [][2]string {
	rows := [][2]string{{"Issuer", s.Issuer}, {"Discovery URL", s.Discovery}, {"Client id", c.ID}}
	if c.Secret != "" {
		rows = append(rows, [2]string{"Client secret", c.Secret})
	}
	rows = append(rows, [2]string{"Authentication", strings.Join(c.AuthMethods, " or ")})
	for _, uri := range c.RedirectURIs {
		rows = append(rows, [2]string{"Redirect URI", uri})
	}
	for _, uri := range c.PostLogout {
		rows = append(rows, [2]string{"Post-logout redirect URI", uri})
	}
	if len(c.Scopes) > 0 {
		rows = append(rows, [2]string{"Scopes", strings.Join(c.Scopes, " ")})
	}
	if c.has(clients.GrantCode) {
		rows = append(rows, [2]string{"PKCE", "S256, " + c.PKCE})
	}
	if c.DPoP {
		rows = append(rows, [2]string{"DPoP", "required"})
	}
	if c.CertificateBound {
		rows = append(rows, [2]string{"TLS client certificate", "required at the token endpoint"})
	}
	if slices.Contains(c.Scopes, "openid") {
		rows = append(rows, [2]string{"ID tokens signed with", c.IDTokensByAlg})
	}
	return rows
}

// addresses are the endpoints that the client may use.
func (c newClient) addresses(public string) [][2]string {
	var rows [][2]string
	if c.has(clients.GrantCode) {
		rows = append(rows, [2]string{"Authorization URL", public + "/authorize"})
	}
	if c.PAR {
		rows = append(rows, [2]string{"Pushed authorization URL", public + "/par"})
	}
	if c.has(clients.GrantDevice) {
		rows = append(rows, [2]string{"Device authorization URL", public + "/device_authorization"})
	}
	rows = append(rows, [2]string{"Token URL", public + "/token"})
	if slices.Contains(c.Scopes, "openid") {
		rows = append(rows, [2]string{"User info URL", public + "/userinfo"})
		rows = append(rows, [2]string{"Keys URL", public + "/jwks.json"})
	}
	if len(c.PostLogout) > 0 {
		rows = append(rows, [2]string{"Sign-out URL", public + "/logout"})
	}
	return rows
}
