package auth

import (
	"cmp"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/config"
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
	auditor := newAuditor(zap.NewNop())
	auditor.trail = store
	return &App{
		server: &config.Server{
			AuditRetention: audit.DefaultRetention,
			RefreshWindow:  5 * time.Minute,
			RefreshCheck:   time.Minute,
		},
		store:  store,
		ctx:    caddy.Context{Context: t.Context()},
		logger: zap.NewNop(),
		audit:  auditor,
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
	if err := buildJanitor(a).deleteOver(now); err != nil {
		t.Fatal(err)
	}
	tokens, err := a.store.ListAPITokens(t.Context(), "", project.Page{Limit: 100})
	if found := a.entries(t); len(found) != 2 || len(tokens) != 2 || err != nil {
		t.Errorf("%v: %d entries and %d tokens are left, %v", retention, len(found), len(tokens), err)
	}
}
