package clients

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// program is the gateway's program, as an operator has it.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "caddy")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/caddy").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// printed are the values that a command has printed for an application, by what stands before them.
type printed map[string]string

// clientAdd runs `caddy auth client add`, and reads what it prints for the application.
func (m *machine) clientAdd(t *testing.T, args ...string) printed {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"auth", "client", "add", "--address", m.admin}, args...)
	out, err := exec.Command(path, args...).Output()
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		t.Fatalf("%v: %s", err, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(out), "For the settings of the application:\n")
	if !found {
		t.Fatalf("printed %s", out)
	}
	values := printed{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "  ")
		values[name] = strings.TrimSpace(value)
	}
	return values
}

// value is one of them; it must be there.
func (p printed) value(t *testing.T, name string) string {
	t.Helper()
	if p[name] == "" {
		t.Errorf("nothing is printed as %q: %v", name, p)
	}
	return p[name]
}

// provider reads the metadata at the address that was printed, for the issuer that was printed.
func (p printed) provider(t *testing.T) *oidc.Provider {
	t.Helper()
	issuer, isOurs := strings.CutSuffix(p.value(t, "Discovery URL"), "/.well-known/openid-configuration")
	if !isOurs || issuer != p.value(t, "Issuer") {
		t.Fatalf("%v", p)
	}
	provider, err := oidc.NewProvider(t.Context(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

// endpoint is what was printed for applications that do not read metadata.
func (p printed) endpoint(t *testing.T) oauth2.Endpoint {
	t.Helper()
	e := oauth2.Endpoint{
		AuthURL:       p["Authorization URL"],
		DeviceAuthURL: p["Device authorization URL"],
		TokenURL:      p.value(t, "Token URL"),
	}
	switch method, _, _ := strings.Cut(p.value(t, "Authentication"), " or "); method {
	case "client_secret_basic":
		e.AuthStyle = oauth2.AuthStyleInHeader
	case "none":
		e.AuthStyle = oauth2.AuthStyleInParams
	default:
		t.Errorf("authentication %q", method)
	}
	return e
}

// TestPrintedWebClient signs a person in with nothing but what `caddy auth client add` printed.
func TestPrintedWebClient(t *testing.T) {
	m := start(t)
	p := m.clientAdd(t, "printed-web", "--redirect-uri", m.at("wiki")+"/printed", "--scope", "openid,profile,email")
	provider, endpoint := p.provider(t), p.endpoint(t)
	if told := provider.Endpoint(); told.AuthURL != endpoint.AuthURL || told.TokenURL != endpoint.TokenURL {
		t.Errorf("printed %+v, the metadata says %+v", endpoint, told)
	}
	config := oauth2.Config{
		ClientID: p.value(t, "Client id"), ClientSecret: p.value(t, "Client secret"),
		RedirectURL: p.value(t, "Redirect URI"), Endpoint: endpoint, Scopes: strings.Fields(p.value(t, "Scopes")),
	}
	if !strings.HasPrefix(p.value(t, "PKCE"), "S256") {
		t.Errorf("%v", p)
	}
	verifier := oauth2.GenerateVerifier()
	back := m.person().visit(t, config.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), config.RedirectURL)
	issued, err := config.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := issued.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{
		ClientID: config.ClientID, SupportedSigningAlgs: []string{p.value(t, "ID tokens signed with")},
	}).Verify(t.Context(), raw)
	if err != nil || id.Subject != aliceName {
		t.Errorf("%+v, %v", id, err)
	}
	info, err := provider.UserInfo(t.Context(), config.TokenSource(t.Context(), issued))
	if err != nil || info.Email != "alice@example.com" {
		t.Errorf("%+v, %v", info, err)
	}
}

// TestPrintedDeviceClient is a program for the command line, with nothing but what was printed.
func TestPrintedDeviceClient(t *testing.T) {
	m := start(t)
	p := m.clientAdd(t, "printed-cli", "--public", "--grant-type", "device_code,refresh_token", "--scope", "openid")
	if p["Client secret"] != "" || p["PKCE"] != "" || p["Authorization URL"] != "" {
		t.Errorf("printed %v", p)
	}
	config := oauth2.Config{
		ClientID: p.value(t, "Client id"), Endpoint: p.endpoint(t), Scopes: strings.Fields(p.value(t, "Scopes")),
	}
	issued := m.connectDevice(t, config)
	info, err := p.provider(t).UserInfo(t.Context(), config.TokenSource(t.Context(), issued))
	if err != nil || info.Subject != aliceName {
		t.Errorf("%+v, %v", info, err)
	}
}
