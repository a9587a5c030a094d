package clients

import (
	"errors"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
)

func TestClientIsAuthenticWithItsSecretsUntilTheyEnd(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	first, second, ended := NewSecret(), NewSecret(), NewSecret()
	hash := secrets.Hash(first)
	one := Client{Secrets: []Secret{{Number: 1, Hash: hash}}}
	two := Client{Secrets: []Secret{
		{Number: 1, Hash: hash, Expires: now.Add(time.Second)},
		{Number: 2, Hash: secrets.Hash(second)},
	}}
	over := Client{Secrets: []Secret{{Number: 1, Hash: secrets.Hash(ended), Expires: now}}}
	keys := Client{Settings: Settings{AuthMethod: AuthPrivateKeyJWT}}
	none := Client{Settings: Settings{AuthMethod: AuthNone}, Secrets: one.Secrets}
	for _, tc := range []struct {
		name   string
		c      Client
		secret string
		now    time.Time
		want   bool
	}{
		{"the only secret", one, first, now, true},
		{"another secret", one, first + "x", now, false},
		{"no secret", one, "", now, false},
		{"the hash", one, hash, now, false},
		{"the first of two", two, first, now, true},
		{"the second of two", two, second, now, true},
		{"the first at its end", two, first, now.Add(time.Second), false},
		{"the second after the end of the first", two, second, now.Add(time.Hour), true},
		{"a secret that has ended", over, ended, now, false},
		{"no secret instead of one that has ended", over, "", now, false},
		{"a public client", Client{}, "", now, false},
		{"a client that is declared public, with a secret", none, first, now, false},
		{"a client with a key", keys, "", now, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.c.Authentic(tc.secret, tc.now); got != tc.want {
				t.Errorf("%v", got)
			}
		})
	}
	if over.Public() || keys.Public() || !(Client{}).Public() {
		t.Error("a client without a secret that works counts as public")
	}
}

func TestSecretsAreTwoAtMostAndNeverNone(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var c Client
	for want := 1; want <= 2; want++ {
		if s, err := c.AddSecret("h", now, now.Add(time.Hour)); err != nil || s.Number != want {
			t.Fatal(s, err)
		}
	}
	if _, err := c.AddSecret("h", now, time.Time{}); err == nil {
		t.Error("a third secret was taken")
	}
	if s, err := c.AddSecret("h", now.Add(time.Hour), time.Time{}); err != nil || s.Number != 3 || len(c.Secrets) != 1 {
		t.Error("secrets that have ended made no room", s, err)
	}
	if err := c.RemoveSecret(1); !errors.Is(err, ErrNoSecret) {
		t.Error(err)
	}
	if err := c.RemoveSecret(3); !errors.Is(err, ErrLastSecret) || len(c.Secrets) != 1 {
		t.Error(err)
	}
	if _, err := c.AddSecret("h", now, time.Time{}); err != nil {
		t.Error(err)
	}
	if err := c.RemoveSecret(3); err != nil || len(c.Secrets) != 1 || c.Secrets[0].Number != 4 {
		t.Error(err, c.Secrets)
	}
}
