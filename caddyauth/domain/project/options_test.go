package project

import (
	"testing"
	"time"
)

// TestTokenOptionsOverEachOther: each option of the client counts over the project's, that over the
// server's, and each by itself.
func TestTokenOptionsOverEachOther(t *testing.T) {
	server := TokenOptions{AccessTokenFormat: Opaque, RefreshRotation: Off, RefreshReuseInterval: 30 * time.Second}
	for _, c := range []struct {
		name            string
		project, client TokenOptions
		want            TokenOptions
	}{
		{name: "server alone", want: server},
		{
			name:    "project over server",
			project: TokenOptions{RefreshRotation: On},
			want: TokenOptions{
				AccessTokenFormat:    Opaque,
				RefreshRotation:      On,
				RefreshReuseInterval: 30 * time.Second,
			},
		},
		{
			name:    "client over project",
			project: TokenOptions{AccessTokenFormat: Opaque, RefreshRotation: Off, RefreshReuseInterval: time.Second},
			client:  TokenOptions{AccessTokenFormat: JWT, RefreshReuseInterval: None},
			want:    TokenOptions{AccessTokenFormat: JWT, RefreshRotation: Off, RefreshReuseInterval: None},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.client.Over(c.project).Over(server); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestReuseIntervalInForce(t *testing.T) {
	for _, c := range []struct {
		name      string
		set, want time.Duration
		fallback  time.Duration
	}{
		{name: "nothing set, for a program", want: 0},
		{name: "nothing set, for a browser", fallback: DefaultBrowserReuse, want: DefaultBrowserReuse},
		{name: "0s set, for a browser", set: None, fallback: DefaultBrowserReuse, want: 0},
		{name: "30s set, for a browser", set: 30 * time.Second, fallback: DefaultBrowserReuse, want: 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := (TokenOptions{RefreshReuseInterval: c.set}).Reuse(c.fallback); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestRevocationOptionsOverEachOther(t *testing.T) {
	for _, c := range []struct {
		name               string
		server, project    RevocationOptions
		onChange, onLogout bool
	}{
		{name: "the defaults", onChange: true},
		{name: "server", server: RevocationOptions{Off, On}, onLogout: true},
		{
			name:     "project over server",
			server:   RevocationOptions{Off, On},
			project:  RevocationOptions{On, Off},
			onChange: true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := c.project.Over(c.server)
			if o.OnPasswordChange() != c.onChange || o.OnLogout() != c.onLogout {
				t.Errorf("%+v, want %v and %v", o, c.onChange, c.onLogout)
			}
		})
	}
}
