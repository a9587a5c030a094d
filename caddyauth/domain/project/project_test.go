package project

import (
	"strings"
	"testing"
	"time"
)

func TestSlugs(t *testing.T) {
	for _, slug := range []string{"a", "acme", "acme-2", "0", strings.Repeat("a", 63)} {
		if err := CheckSlug(slug); err != nil {
			t.Error(err)
		}
	}
	for _, slug := range []string{
		"", "-a", "a-", "Acme", "a_b", "a.b", "a/b", "a b", "ä", strings.Repeat("a", 64), NewID(), "a\n",
	} {
		if CheckSlug(slug) == nil {
			t.Errorf("%q was taken", slug)
		}
	}
}

func TestProjectsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		want string
		p    Project
	}{
		{"slug: ", Project{Slug: "A"}},
		{"name: 201 bytes", Project{Slug: "a", Name: strings.Repeat("n", 201)}},
		{"name: it holds a control", Project{Slug: "a", Name: "a\nb"}},
		{`audiences: "a b" is not`, Project{Slug: "a", Audiences: []string{"a b"}}},
		{`audiences: duplicate "web"`, Project{Slug: "a", Audiences: []string{"web", "web"}}},
		{"refresh_window: 25h is", Project{Slug: "a", RefreshWindow: 25 * time.Hour}},
		{"access_token_format: ", Project{Slug: "a", TokenOptions: TokenOptions{AccessTokenFormat: "JWT"}}},
		{"refresh_check: 500ms is below", Project{Slug: "a", RefreshCheck: time.Second / 2}},
	} {
		t.Run(c.want, func(t *testing.T) {
			if err := c.p.Check(); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestClientsThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		want string
		c    Client
	}{
		{"id: ", Client{ID: "a/b"}},
		{`id: "."`, Client{ID: "."}},
		{"access_token_format: ", Client{ID: "a", TokenOptions: TokenOptions{AccessTokenFormat: "JWT"}}},
		{
			"refresh_reuse_interval: 1m1s is",
			Client{ID: "a", TokenOptions: TokenOptions{RefreshReuseInterval: 61 * time.Second}},
		},
		{
			"refresh_reuse_interval: -1s is",
			Client{ID: "a", TokenOptions: TokenOptions{RefreshReuseInterval: -time.Second}},
		},
		{"scopes: 101 words", Client{ID: "a", Scopes: make([]string, 101)}},
		{`audience: "" is not`, Client{ID: "a", Audience: []string{""}}},
	} {
		t.Run(tc.want, func(t *testing.T) {
			if err := tc.c.Check(); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
	longest := TokenOptions{AccessTokenFormat: Opaque, RefreshReuseInterval: time.Minute}
	if err := (Client{ID: "https-client.example_1~", TokenOptions: longest}).Check(); err != nil {
		t.Error(err)
	}
}

func TestClientIsAuthenticWithItsSecretOnly(t *testing.T) {
	secret := NewClientSecret()
	c := Client{SecretHash: HashSecret(secret)}
	if !c.Authentic(secret) || c.Authentic(secret+"x") || c.Authentic("") || c.Authentic(c.SecretHash) {
		t.Error("a secret was taken for another")
	}
	if public := (Client{}); public.Authentic("") || !public.Public() {
		t.Error("a public client was authentic")
	}
}
