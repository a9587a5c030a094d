package auth

import (
	"errors"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// startedApp is a configuration with generated keys, running.
func startedApp(t *testing.T) *App {
	t.Helper()
	a := provisioned(t, config.Settings{Issuer: "https://auth.example.com"})
	if err := a.startAlone(); err != nil {
		t.Fatal(err)
	}
	return a
}

// minted signs a token of 15 minutes.
func minted(t *testing.T, a *App) string {
	t.Helper()
	now := time.Now()
	key, err := a.keys.Signing(t.Context(), 15*time.Minute, now)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := token.Mint(
		key,
		"at+jwt",
		token.Claims{Issuer: a.server.Issuer, Subject: "alice", Audience: []string{"api"}, IssuedAt: now,
			Expiry: now.Add(15 * time.Minute), ID: "id", ClientID: "c", Project: "default"},
	)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRevokedKeysTokensAreRefusedFromTheCacheToo(t *testing.T) {
	a := startedApp(t)
	raw := minted(t, a)
	for range 2 { // the second time from the cache
		if _, err := a.verification.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := a.keys.Rotate(t.Context())
	slices.SortFunc(
		keys,
		func(a, b keyring.Info) int { return strings.Compare(string(a.State), string(b.State)) },
	) // made within one second, perhaps
	if err != nil || len(keys) != 2 || keys[0].State != "active" || keys[1].State != "announced" ||
		keys[1].Until.Sub(keys[1].Since) != time.Hour {
		t.Fatalf("rotated: %+v, %v", keys, err)
	}
	if _, err := a.verification.Verify(t.Context(), raw); err != nil {
		t.Errorf("after a new key was announced: %v", err)
	}
	if set := published(t, a); !strings.Contains(set, keys[0].ID) || !strings.Contains(set, keys[1].ID) {
		t.Errorf("published: %s", set)
	}
	left, err := a.keys.Revoke(t.Context(), keys[0].ID)
	if err != nil || len(left) != 1 || left[0].ID != keys[1].ID || left[0].State != "active" {
		t.Fatalf("revoked: %+v, %v", left, err)
	}
	_, err = a.verification.Verify(t.Context(), raw)
	if refusal, ok := errors.AsType[*token.Refusal](err); !ok || refusal.Reason != token.UnknownKey {
		t.Errorf("a token of the revoked key: %v, want %s", err, token.UnknownKey)
	}
	if set := published(t, a); strings.Contains(set, keys[0].ID) {
		t.Errorf("published: %s", set)
	}
	if _, err := a.verification.Verify(t.Context(), minted(t, a)); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
	if _, err := a.keys.Revoke(t.Context(), "never there"); !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("revoking an unknown key: %v", err)
	}
}

func published(t *testing.T, a *App) string {
	t.Helper()
	w := httptest.NewRecorder()
	buildStatus(a).keySet(w, httptest.NewRequestWithContext(t.Context(), "GET", "/jwks.json", nil))
	if got := w.Header().Get("Cache-Control"); w.Code != 200 || got != "public, max-age=300" {
		t.Errorf("the key set: status %d, Cache-Control %q", w.Code, got)
	}
	return w.Body.String()
}

// What another process does to the keys is learned from the store, without any order here.
func TestRunningNodeLearnsWhatAnotherRevoked(t *testing.T) {
	a := startedApp(t)
	old := a.keys.ring.Load().Active().ID()
	other, err := sqlstore.New("sqlite:" + filepath.Join(config.DataDir(), "auth.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	set, err := other.KeySet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	step, err := a.keys.keeper.Load().Lifecycle.Revoke(set, old, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, taken, err := other.AdvanceKeys(t.Context(), step, time.Now()); err != nil || !taken {
		t.Fatal(taken, err)
	}
	revoked := time.Now()
	for look := time.NewTicker(time.Millisecond); a.keys.ring.Load().Key(old) != nil; <-look.C {
		if time.Since(revoked) > 5*time.Second { // a second is promised; this machine may be busy
			t.Fatal("the revoked key is still in use")
		}
	}
	t.Logf("learned after %v", time.Since(revoked).Round(time.Millisecond))
}

func TestConfiguredKeysAreNotRotated(t *testing.T) {
	a := provisioned(t, config.Settings{Issuer: "https://auth.example.com",
		Keys: &config.Keys{
			Texts: []config.SecretText{{ID: "k", Secret: strings.Repeat("s", 32)},
				{ID: "l", Secret: strings.Repeat("t", 32)}},
		}})
	keys, err := a.keys.List(t.Context())
	if want := []keyring.Info{{ID: "k", Algorithm: "HS256", State: "active"},
		{ID: "l", Algorithm: "HS256", State: "verifying"}}; err != nil ||
		!slices.Equal(keys, want) {
		t.Errorf("listed: %+v, %v", keys, err)
	}
	_, rotated := a.keys.Rotate(t.Context())
	_, revoked := a.keys.Revoke(t.Context(), "k")
	for _, err := range []error{rotated, revoked} {
		if !errors.Is(err, ErrConfiguredKeys) {
			t.Errorf("an order about configured keys: %v", err)
		}
	}
}

const day = 24 * time.Hour
