package auth

import (
	"cmp"
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

// auditedApp is an App with an open store and nothing else.
func auditedApp(t *testing.T) *App {
	t.Helper()
	store, release, err := joinStore("sqlite:" + filepath.Join(t.TempDir(), "auth.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	})
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &App{
		server: &config.Server{
			AuditRetention: audit.DefaultRetention,
			RefreshWindow:  5 * time.Minute,
			RefreshCheck:   time.Minute,
		},
		store:  store,
		ctx:    caddy.Context{Context: t.Context()},
		logger: zap.NewNop(),
		audit:  newAuditor(zap.NewNop()),
	}
}

func (a *App) entries(t *testing.T) []audit.Entry {
	t.Helper()
	found, err := a.store.ListEntries(t.Context(), audit.Filter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestFloodsDoNotFillTheAuditTrail: what costs whoever sends it nothing leaves no row.
func TestFloodsDoNotFillTheAuditTrail(t *testing.T) {
	a := auditedApp(t)
	for _, word := range login.Results() {
		for _, kind := range []string{login.KindLogin, login.KindAPILogin, login.KindLogout} {
			if word != "success" && (word != "bad_credentials" || kind == login.KindLogout) {
				a.observe(t.Context(), login.Event{Kind: kind, Result: word, Account: "alice"})
			}
		}
	}
	a.observe(t.Context(), login.Event{Kind: login.KindLogout, Result: "success"}) // of nobody
	if found := a.entries(t); len(found) != 0 {
		t.Errorf("%+v", found)
	}
}

// TestRefusedSignInsAndSignOutsStandInTheAuditTrail. The line of a sign-in that succeeds is stored
// with its session (issuance).
func TestRefusedSignInsAndSignOutsStandInTheAuditTrail(t *testing.T) {
	a := auditedApp(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel() // the person did not wait for the answer
	for _, e := range []login.Event{
		{
			Kind:     login.KindLogin,
			Result:   "bad_credentials",
			Account:  "alice",
			Project:  "default",
			Audience: "web",
			ClientIP: "192.0.2.1",
		},
		{Kind: login.KindLogin, Result: "success", Account: "bob"},
		{Kind: login.KindAPILogin, Result: "bad_credentials", ClientIP: "192.0.2.1"},
		{Kind: login.KindLogout, Result: "success", Account: "alice"},
	} {
		a.observe(gone, e)
	}
	found := a.entries(t)
	if len(found) != 3 {
		t.Fatalf("%d entries", len(found))
	}
	byAction := map[string]audit.Entry{}
	for _, e := range found {
		byAction[e.Action] = e
	}
	if e := byAction["login"]; e.Actor != "user:alice" || e.TargetName != "alice" || e.ClientIP != "192.0.2.1" ||
		e.Project != "default" || e.Detail != "web" {
		t.Errorf("%+v", e)
	}
	if e := byAction["api_login"]; e.Actor != "unknown" || e.Result != "bad_credentials" {
		t.Errorf("%+v", e)
	}
}

// TestJanitorKeepsTheAuditTrailForAWhile also holds it to the API tokens that the trail tells of.
func TestJanitorKeepsTheAuditTrailForAWhile(t *testing.T) {
	for _, configured := range []time.Duration{0, 48 * time.Hour, 1000 * 24 * time.Hour} {
		a := auditedApp(t)
		a.server.AuditRetention = cmp.Or(configured, audit.DefaultRetention)
		checkJanitor(t, a, cmp.Or(configured, audit.DefaultRetention))
	}
}

func checkJanitor(t *testing.T, a *App, retention time.Duration) {
	t.Helper()
	now := time.Now()
	for _, age := range []time.Duration{0, retention - 2*time.Hour, retention + 2*time.Hour} {
		entry := audit.Entry{At: now.Add(-age), Actor: "command", Action: "test"}
		if err := a.store.AddEntry(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
		token, _, err := apitoken.New("test", "", []string{apitoken.Read}, time.Hour, now.Add(-age-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.store.AddAPIToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.deleteOver(now); err != nil {
		t.Fatal(err)
	}
	tokens, err := a.store.ListAPITokens(t.Context(), "", project.Page{Limit: 100})
	if found := a.entries(t); len(found) != 2 || len(tokens) != 2 || err != nil {
		t.Errorf("%v: %d entries and %d tokens are left, %v", retention, len(found), len(tokens), err)
	}
}
