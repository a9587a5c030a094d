package session_test

import (
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// A refresh token is good once. Whoever uses it a second time ends the session, because two hands
// have it; only within the reuse interval it is taken for a lost answer.
func ExampleGrant_Use() {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	grant := session.Grant{
		ID:       "family",
		ClientID: "caddyauth",
		Idle:     30 * 24 * time.Hour,
		IdleEnds: now.Add(30 * 24 * time.Hour),
		Ends:     now.Add(365 * 24 * time.Hour),
		Reuse:    10 * time.Second,
	}
	first := session.Rotation{ID: "family", ClientID: "caddyauth", Generation: 0}

	grant, verdict := grant.Use(first, now)
	fmt.Println(verdict, grant.Generation)
	grant, verdict = grant.Use(first, now.Add(5*time.Second))
	fmt.Println(verdict, grant.Generation)
	grant, verdict = grant.Use(first, now.Add(time.Minute))
	fmt.Println(verdict, grant.RevokedFor)
	// Output:
	// rotated 1
	// repeated 1
	// reused reused
}
