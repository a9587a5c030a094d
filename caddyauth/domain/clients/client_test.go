package clients

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
)

func TestClientsThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		want string
		c    Client
	}{
		{"id: ", Client{ID: "a/b"}},
		{`id: "."`, Client{ID: "."}},
		{"access_token_format: ", Client{ID: "a", TokenOptions: project.TokenOptions{AccessTokenFormat: "JWT"}}},
		{
			"refresh_reuse_interval: 1m1s is",
			Client{ID: "a", TokenOptions: project.TokenOptions{RefreshReuseInterval: 61 * time.Second}},
		},
		{
			"refresh_reuse_interval: -1s is",
			Client{ID: "a", TokenOptions: project.TokenOptions{RefreshReuseInterval: -time.Second}},
		},
		{"scopes: 101 words", Client{ID: "a", Scopes: make([]string, 101)}},
		{`audience: "" is not`, Client{ID: "a", Audience: []string{""}}},
	} {
		t.Run(tc.want, func(t *testing.T) {
			if err := tc.c.Validate(); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
	longest := project.TokenOptions{AccessTokenFormat: project.Opaque, RefreshReuseInterval: time.Minute}
	if err := (Client{ID: "https-client.example_1~", TokenOptions: longest}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestClientIsAuthenticWithItsSecretOnly(t *testing.T) {
	secret := NewSecret()
	c := Client{SecretHash: secrets.Hash(secret)}
	if !c.Authentic(secret) || c.Authentic(secret+"x") || c.Authentic("") || c.Authentic(c.SecretHash) {
		t.Error("a secret was taken for another")
	}
	if public := (Client{}); public.Authentic("") || !public.Public() {
		t.Error("a public client was authentic")
	}
}
