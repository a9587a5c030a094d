package clients

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// TestGoOIDC signs in with golang.org/x/oauth2, and reads who it was with coreos/go-oidc.
func TestGoOIDC(t *testing.T) {
	m := start(t)
	provider, err := oidc.NewProvider(t.Context(), m.at("auth"))
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: "wiki", ClientSecret: secretOf("WIKI_SECRET"), RedirectURL: m.at("wiki") + "/callback",
		Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess},
	}
	verifier := oauth2.GenerateVerifier()
	alice := m.person()
	address := config.AuthCodeURL("the state", oidc.Nonce("the nonce"), oauth2.S256ChallengeOption(verifier),
		oauth2.SetAuthURLParam("prompt", "consent"))
	alice.decision = "deny"
	back := alice.visit(t, address, config.RedirectURL)
	if back.Get("state") != "the state" || back.Get("error") != "access_denied" || back.Has("code") {
		t.Errorf("who denies is sent back with %v", back)
	}
	alice.decision = "allow"
	back = alice.visit(t, address, config.RedirectURL)
	if back.Get("state") != "the state" || back.Has("error") {
		t.Errorf("who allows is sent back with %v", back)
	}
	alice.saw(t, "Sign in", "Allow access?", "Allow access?")
	issued, err := config.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := issued.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: "wiki"}).Verify(t.Context(), raw)
	if err != nil || id.Subject != aliceName || id.Nonce != "the nonce" ||
		id.VerifyAccessToken(issued.AccessToken) != nil {
		t.Errorf("%+v, %v", id, err)
	}
	info, err := provider.UserInfo(t.Context(), config.TokenSource(t.Context(), issued))
	if err != nil || info.Subject != aliceName || info.Email != "alice@example.com" {
		t.Errorf("%+v, %v", info, err)
	}
	renewed, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: issued.RefreshToken}).Token()
	if err != nil || m.visitAPI(t, renewed) != "hello alice" {
		t.Errorf("renewed: %v", err)
	}
}

// TestGoClientCredentials is a service with golang.org/x/oauth2.
func TestGoClientCredentials(t *testing.T) {
	m := start(t)
	if got := m.visitAPI(t, m.serviceToken(t)); got != "hello reports" {
		t.Error(got)
	}
}

// serviceToken is a token that a service has got for itself.
func (m *machine) serviceToken(t *testing.T) *oauth2.Token {
	t.Helper()
	config := clientcredentials.Config{
		ClientID: "reports", ClientSecret: secretOf("REPORTS_SECRET"), TokenURL: m.at("auth") + "/token",
		Scopes: []string{"read"},
	}
	issued, err := config.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// TestIntrospectionOfAResourceServer: the API is told of a token for the audience that it serves, and a
// client that serves nothing is not.
func TestIntrospectionOfAResourceServer(t *testing.T) {
	m := start(t)
	form := url.Values{"token": {m.serviceToken(t).AccessToken}}.Encode()
	for _, c := range []struct {
		client, secret string
		active         bool
	}{{"stock", "STOCK_SECRET", true}, {"tools", "TOOLS_SECRET", false}} {
		t.Run(c.client, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.at("auth")+"/introspect",
				strings.NewReader(form))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth(c.client, url.QueryEscape(secretOf(c.secret)))
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var answer struct{ Active bool }
			err = json.NewDecoder(resp.Body).Decode(&answer)
			if err != nil || resp.StatusCode != http.StatusOK || answer.Active != c.active {
				t.Errorf("status %d, %+v, %v", resp.StatusCode, answer, err)
			}
		})
	}
}

// TestGoDevice is a program that shows a code, with golang.org/x/oauth2.
func TestGoDevice(t *testing.T) {
	m := start(t)
	provider, err := oidc.NewProvider(t.Context(), m.at("auth"))
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: "backup-cli", Endpoint: provider.Endpoint(), Scopes: []string{"openid", "offline_access"},
	}
	config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	m.connectDevice(t, config)
}

// connectDevice gets a token for a program that shows a code, and visits the API with it. It polls after
// the person has decided, so that it waits for one interval at most.
func (m *machine) connectDevice(t *testing.T, config oauth2.Config) *oauth2.Token {
	t.Helper()
	code, err := config.DeviceAuth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.person().read(t, code.VerificationURIComplete)
	code.Interval = 1
	issued, err := config.DeviceAccessToken(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.visitAPI(t, issued); got != "hello alice" {
		t.Error(got)
	}
	return issued
}

// visitAPI is what the API says to the holder of a token.
func (m *machine) visitAPI(t *testing.T, token *oauth2.Token) string {
	t.Helper()
	resp, err := oauth2.NewClient(context.Background(), oauth2.StaticTokenSource(token)).Get(m.at("api") + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}
