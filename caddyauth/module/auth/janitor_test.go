package auth

import (
	"slices"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/module/config"
)

// TestJanitorWaitsForAClockThatJumped: whatever the clock says, nothing goes before as much time
// has passed, or the clock has gone on for a day from where it jumped.
func TestJanitorWaitsForAClockThatJumped(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, 10 * day, 20 * 365 * day} {
		a := auditedApp(t)
		elapsed, now := time.Duration(0), time.Now().Truncate(time.Millisecond)
		a.store.steady.Elapsed = func() time.Duration { return elapsed }
		fill(t, a, now)
		tidy := func(after, clock time.Duration) {
			t.Helper()
			elapsed = after
			if err := buildJanitor(a).tidy(now.Add(clock)); err != nil {
				t.Fatal(err)
			}
		}
		tidy(0, 0)
		for after := time.Minute; after < day; after += 4 * time.Hour {
			tidy(after, after+jump)
			if after < time.Hour {
				tidy(after, after)
				if got := count(t, a, now); got != (rows{1, 1, 1, 1, 1, 1}) {
					t.Fatalf("%v ahead: after %v there are left %+v", jump, after, got)
				}
			}
		}
		// as much time has passed, by the monotonic clock
		if got := count(t, a, now); got != (rows{entries: 1, tokens: 1}) {
			t.Errorf("%v ahead: after a day there are left %+v", jump, got)
		}
		tidy(2*day, 2*day+jump) // ahead again, and then for good
		tidy(3*day, 3*day+jump)
		if got, want := count(t, a, now), (rows{}); jump > a.server.AuditRetention+day && got != want {
			t.Errorf("%v ahead: after a day with that clock there are left %+v", jump, got)
		}
	}
}

// TestJanitorGoesOnWhereAnotherProcessEnded: a server that starts with a wrong clock deletes
// nothing by it.
func TestJanitorGoesOnWhereAnotherProcessEnded(t *testing.T) {
	a := auditedApp(t)
	elapsed, now := time.Duration(0), time.Now().Truncate(time.Millisecond)
	fill(t, a, now)
	if err := a.store.KeepTime(t.Context(), now); err != nil { // as tidy does
		t.Fatal(err)
	}
	kept, _, err := a.store.KeptTime(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.store.steady.Elapsed = func() time.Duration { return elapsed }
	a.store.steady.Resume(kept, now.Add(10*day))
	if err := buildJanitor(a).tidy(now.Add(10 * day)); err != nil {
		t.Fatal(err)
	}
	if got := count(t, a, now); got != (rows{1, 1, 1, 1, 1, 1}) {
		t.Errorf("there are left %+v", got)
	}
}

// rows are what the janitor deletes.
type rows struct{ grants, denials, attempts, uses, entries, tokens int }

// fill puts one row of each kind into the store, good for half an hour; the trail and API tokens
// are kept longer. attempt is counted in a bucket that is full for half an hour.
func attempt() identity.Attempt {
	return identity.Attempt{Buckets: []identity.Bucket{{Key: "k", Burst: 1, Every: 30 * time.Minute}}}
}

func use(until time.Time) replay.Use {
	return replay.Use{Purpose: replay.DPoP, Issuer: "client", ID: "jti", Until: until}
}

func fill(t *testing.T, a *App, now time.Time) {
	t.Helper()
	until := now.Add(30 * time.Minute)
	token, _, err := apitoken.New("test", "", []string{apitoken.Read}, 30*time.Minute, now)
	if err != nil {
		t.Fatal(err)
	}
	_, denied := a.store.RevokeToken(t.Context(), "iss", "jti", until, now)
	_, counted := a.store.TakeAttempt(t.Context(), attempt(), now)
	for _, err := range []error{
		denied,
		counted,
		a.store.AddGrant(t.Context(), session.Grant{
			ID:       "family",
			Seed:     []byte("s"),
			Project:  "default",
			Subject:  "u",
			ClientID: "web",
			Created:  now,
			Rotated:  now,
			LastUsed: now,
			IdleEnds: until, Ends: until, AccessUntil: until, Idle: time.Hour,
		}),
		a.store.AddEntry(t.Context(), audit.Entry{At: now, Actor: "command", Action: "test"}),
		a.store.AddAPIToken(t.Context(), token),
		a.store.UseOnce(t.Context(), use(until)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// count tells what is left of what fill put in at now.
func count(t *testing.T, a *App, now time.Time) (left rows) {
	t.Helper()
	grants, err1 := a.store.ListGrants(t.Context(), session.Filter{})
	denials, _, err2 := a.store.Denials(t.Context(), 0)
	tokens, err3 := a.store.ListAPITokens(t.Context(), "", project.Page{Limit: 100})
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if wait, _ := a.store.TakeAttempt(t.Context(), attempt(), now); wait > 0 {
		left.attempts = 1
	}
	if used := a.store.UseOnce(t.Context(), use(now.Add(30*time.Minute))); used != nil {
		left.uses = 1
	} else if _, err := a.store.DeleteUses(t.Context(), now.Add(time.Hour), 1); err != nil {
		t.Fatal(err)
	}
	left.grants, left.denials, left.tokens, left.entries = len(grants), len(denials), len(tokens), len(a.entries(t))
	return left
}

// TestJanitorForgetsClientsThatNobodyUses, each kind after its own time, and only while its option is
// on.
func TestJanitorForgetsClientsThatNobodyUses(t *testing.T) {
	const document = "https://app.example/client.json"
	for _, c := range []struct {
		name                    string
		registration, documents time.Duration // after which they go; 0 is off
		unapproved              time.Duration // after which they go that nobody has allowed anything
		after                   time.Duration
		want                    []string
	}{
		{"both off", 0, 0, day, 1000 * day, []string{document, "registered"}},
		{"before their time", 2 * day, 3 * day, 2 * day, 2*day - time.Hour, []string{document, "registered"}},
		{"registered", 2 * day, 3 * day, 3 * day, 2*day + time.Hour, []string{document}},
		{"both", 2 * day, 3 * day, 3 * day, 3*day + time.Hour, nil},
		{"documents alone", 0, 2 * day, 2 * day, 3 * day, []string{"registered"}},
		{"nobody has allowed them anything", 30 * day, 30 * day, day, day + time.Hour, nil},
		{"they are new", 30 * day, 30 * day, day, day - time.Hour, []string{document, "registered"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, now := auditedApp(t), time.Now().Truncate(time.Millisecond)
			if c.registration > 0 {
				a.server.Registration = &config.SelfRegistration{Arrivals: config.Arrivals{
					ForgetAfter: c.registration, UnapprovedAfter: c.unapproved}}
			}
			if c.documents > 0 {
				a.server.ClientMetadata = &config.MetadataDocuments{Arrivals: config.Arrivals{
					ForgetAfter: c.documents, UnapprovedAfter: c.unapproved}}
			}
			addComing(t, a.store, "registered", clients.Registered, now)
			addComing(t, a.store, document, clients.MetadataDocument, now)
			if err := buildJanitor(a).deleteOver(now.Add(c.after)); err != nil {
				t.Fatal(err)
			}
			left, err := a.store.ListClients(t.Context(), "", project.Page{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, client := range left {
				ids = append(ids, client.ID)
			}
			if !slices.Equal(ids, c.want) {
				t.Errorf("left are %q, want %q", ids, c.want)
			}
		})
	}
}
