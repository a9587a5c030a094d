package apitoken

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestTokenIsGoodUntilItsEnd(t *testing.T) {
	token, secret, err := New("ci", "", []string{Create}, time.Hour, noon)
	if err != nil {
		t.Fatal(err)
	}
	if !LooksLikeSecret(secret) || token.Hash != secrets.Hash(secret) ||
		strings.Contains(token.Hash+token.ID, secret) {
		t.Errorf("%+v", token)
	}
	if !token.Good(noon) || !token.Good(noon.Add(time.Hour-1)) || token.Good(noon.Add(time.Hour)) {
		t.Error("it is good at the wrong time")
	}
	token.Revoked = noon
	if token.Good(noon) {
		t.Error("a revoked token is good")
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		want      string
		abilities []string
		lifetime  time.Duration
	}{
		{"abilities: required", nil, 0},
		{`abilities: "write" is`, []string{"write"}, 0},
		{`abilities: "read" is a duplicate`, []string{"read", "read"}, 0},
		{"expires_in: 1s is below", []string{"read"}, time.Second},
		{"expires_in: -1h is below", []string{"read"}, -time.Hour},
	} {
		t.Run(c.want, func(t *testing.T) {
			if _, _, err := New("n", "", c.abilities, c.lifetime, noon); err == nil ||
				!strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
