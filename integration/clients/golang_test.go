package clients

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
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
	back := m.signIn(t, config.AuthCodeURL("the state", oidc.Nonce("the nonce"), oauth2.S256ChallengeOption(verifier)),
		config.RedirectURL)
	if back.Get("state") != "the state" {
		t.Errorf("sent back with %v", back)
	}
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
	config := clientcredentials.Config{
		ClientID: "reports", ClientSecret: secretOf("REPORTS_SECRET"), TokenURL: m.at("auth") + "/token",
		Scopes: []string{"read"},
	}
	issued, err := config.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := m.visitAPI(t, issued); got != "hello reports" {
		t.Error(got)
	}
}

// TestGoDevice is a program that shows a code, with golang.org/x/oauth2. It polls after the person has
// decided, so that it waits for one interval at most.
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
	code, err := config.DeviceAuth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.signIn(t, code.VerificationURIComplete, "")
	code.Interval = 1
	issued, err := config.DeviceAccessToken(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.visitAPI(t, issued); got != "hello alice" {
		t.Error(got)
	}
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

// field finds the hidden fields of a page's form.
var field = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)

// signIn goes to an address as alice, fills in the forms of the gateway, and returns the query with
// which it is sent to an address of the application, or nothing at a page without a form.
func (m *machine) signIn(t *testing.T, address, until string) url.Values {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	var back url.Values
	browser := http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if until != "" && strings.HasPrefix(r.URL.String(), until) {
			back = r.URL.Query()
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := browser.Get(address)
	for range 5 {
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if back != nil || !strings.Contains(string(text), "<form") {
			break
		}
		form := url.Values{"username": {aliceName}, "password": {alicePassword}, "decision": {"allow"}}
		for _, hidden := range field.FindAllStringSubmatch(string(text), -1) {
			form.Set(hidden[1], strings.NewReplacer("&amp;", "&", "&#43;", "+").Replace(hidden[2]))
		}
		at := *resp.Request.URL
		at.RawQuery = ""
		resp, err = browser.PostForm(at.String(), form)
	}
	return back
}
