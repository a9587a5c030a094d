package auth

import (
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
)

func TestRenewalWindowIsTheProjectsOrTheServers(t *testing.T) {
	a := auditedApp(t)
	a.server.RefreshCheck = 30 * time.Second
	now := time.Now()
	p := project.Project{ID: project.NewID(), Slug: "acme", Active: true, Created: now}
	if err := a.store.AddProject(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for _, window := range []time.Duration{10 * time.Minute, 0} {
		p, err := a.store.FindProject(t.Context(), "acme")
		if err == nil {
			p.RefreshWindow = window
			_, err = a.store.ChangeProject(t.Context(), p, now)
		}
		if err != nil {
			t.Fatal(err)
		}
		want := browser.RenewalWindow{Length: max(window, 5*time.Minute), Check: 30 * time.Second}
		if got, err := buildRenewals(a).findWindow(t.Context(), "acme"); err != nil || got != want {
			t.Errorf("window %v: %v, %v; want %v", window, got, err, want)
		}
	}
	if _, err := buildRenewals(a).findWindow(t.Context(), "unknown"); err == nil {
		t.Error("a project that does not exist has a window")
	}
}
