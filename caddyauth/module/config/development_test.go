package config

import (
	"net/url"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// TestPresetDevelopmentIsForLoopbackHosts: a public issuer or public URL refuses it at every level,
// unless insecure_development says so.
func TestPresetDevelopmentIsForLoopbackHosts(t *testing.T) {
	own := Settings{Preset: project.Development}
	for _, c := range []struct {
		name           string
		settings       Settings
		issuer, public string
		refused        bool
	}{
		{
			name:     "public https",
			settings: own,
			issuer:   "https://auth.example.com",
			public:   "https://auth.example.com",
			refused:  true,
		},
		{
			name:     "private address",
			settings: own,
			issuer:   "https://192.168.1.5",
			public:   "https://192.168.1.5",
			refused:  true,
		},
		{name: "public URL alone", settings: own, issuer: "urn:x", public: "https://auth.example.com", refused: true},
		{
			name:     "public issuer alone",
			settings: own,
			issuer:   "https://auth.example.com",
			public:   "http://localhost:1",
			refused:  true,
		},
		{name: "loopback", settings: own, issuer: "http://127.0.0.1:80", public: "http://127.0.0.1:80"},
		{
			name:     "https on a loopback host",
			settings: own,
			issuer:   "https://app.localhost",
			public:   "https://app.localhost",
		},
		{name: "text as issuer, no URL", settings: own, issuer: "urn:x"},
		{
			name:     "with insecure_development",
			settings: Settings{Preset: project.Development, InsecureDevelopment: true},
			issuer:   "https://auth.example.com",
			public:   "https://auth.example.com",
		},
		{
			name:     "in a project",
			settings: Settings{Projects: []Project{{Slug: "acme", Preset: project.Development}}},
			issuer:   "https://auth.example.com",
			refused:  true,
		},
		{
			name:     "in a client",
			settings: Settings{Clients: []Client{{ID: "c", Preset: project.Development}}},
			issuer:   "https://auth.example.com",
			refused:  true,
		},
		{name: "production", settings: Settings{Preset: "production"}, issuer: "https://auth.example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var public *url.URL
			if c.public != "" {
				var err error
				if public, err = url.Parse(c.public); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.settings.validateDevelopment(c.issuer, public); (err != nil) != c.refused {
				t.Errorf("%v, want a refusal: %v", err, c.refused)
			}
		})
	}
}
