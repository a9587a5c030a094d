package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

// refuses demands a refusal with this verdict.
func refuses(t *testing.T, err error, want Verdict) {
	t.Helper()
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Verdict != want {
		t.Errorf("error %v, want the refusal %s", err, want)
	}
}

func refresh(t *testing.T, s *Service, token string, at time.Duration) Issued {
	t.Helper()
	i, err := use(t.Context(), s, token, "web", noon.Add(at))
	if err != nil {
		t.Fatalf("at %v: %v", at, err)
	}
	return i
}

func familyOf(g Grant) revocation.Subject {
	return revocation.Subject{
		Family:   g.ID,
		Project:  g.Project,
		Subject:  g.Subject,
		ClientID: g.ClientID,
		Epoch:    g.Epoch,
	}
}

func TestBeginAndRefresh(t *testing.T) {
	s, _ := newService(t)
	first := begin(t, s, grantRequest())
	if first.Epoch != 1 || !first.AccessUntil.Equal(noon.Add(accessLifetime)) || first.Verdict != "" ||
		first.Grant.Subject != "alice" {
		t.Errorf("Begin gave %+v", first)
	}
	second := refresh(t, s, first.RefreshToken, time.Minute)
	again := refresh(t, s, first.RefreshToken, time.Minute+9*time.Second)
	third := refresh(t, s, second.RefreshToken, 2*time.Minute)
	if second.Verdict != Advanced || again.Verdict != Repeated || third.Verdict != Advanced {
		t.Errorf("verdicts %s, %s, %s", second.Verdict, again.Verdict, third.Verdict)
	}
	if again.RefreshToken != second.RefreshToken || second.RefreshToken == first.RefreshToken ||
		third.RefreshToken == second.RefreshToken {
		t.Error("the successors are not what they should be")
	}
	if !again.Grant.IdleEnds.Equal(second.Grant.IdleEnds) || !again.AccessUntil.After(second.AccessUntil) {
		t.Error("repeating must move the access token on and nothing else")
	}
}

func TestReuseKillsTheFamilyAndRaisesAnAlert(t *testing.T) {
	s, _ := newService(t)
	var alerts []Verdict
	s.Alert = func(_ context.Context, v Verdict, g Grant) {
		if g.Subject != "alice" {
			t.Errorf("the alert is about %+v", g)
		}
		alerts = append(alerts, v)
	}
	first := begin(t, s, grantRequest())
	second := refresh(t, s, first.RefreshToken, time.Minute)
	_, err := use(t.Context(), s, first.RefreshToken, "web", noon.Add(2*time.Minute))
	refuses(t, err, Reused)
	if got := s.DenyList.Denied(familyOf(first.Grant)); got != revocation.FamilyKind {
		t.Errorf("this node denies the family as %q", got)
	}
	for _, token := range []string{first.RefreshToken, second.RefreshToken} {
		_, err := use(t.Context(), s, token, "web", noon.Add(2*time.Minute))
		refuses(t, err, Ended)
	}
	if fmt.Sprint(alerts) != "[reused]" {
		t.Errorf("alerts %v", alerts)
	}
}

func TestForgeryIsNoKillSwitch(t *testing.T) {
	s, store := newService(t)
	alerts := 0
	s.Alert = func(context.Context, Verdict, Grant) { alerts++ }
	first := begin(t, s, grantRequest())
	forger := Tokens{Secrets: []Secret{secret("k1", 66)}}
	g := first.Grant
	other := g
	other.ID = "ANOTHERFAMILY"
	_, err := use(t.Context(), s, forger.Make(g, 0), "web", noon)
	refuses(t, err, BadMAC)
	for _, generation := range []int64{0, 1, 7} {
		_, err = use(t.Context(), s, forger.Make(g, generation), "web", noon)
		refuses(t, err, BadMAC)
	}
	_, err = use(t.Context(), s, s.Tokens.Make(other, 0), "web", noon)
	refuses(t, err, Unknown)
	_, err = use(t.Context(), s, "rt_nonsense", "web", noon)
	refuses(t, err, Malformed)
	_, err = use(t.Context(), s, first.RefreshToken, "another", noon)
	refuses(t, err, OtherClient)
	if alerts != 0 || len(store.denials) != 0 {
		t.Errorf("%d alerts and %d denials after forgeries", alerts, len(store.denials))
	}
	refresh(t, s, first.RefreshToken, time.Second)
}

func TestFutureGenerationKeepsTheFamilyAndRaisesAnAlert(t *testing.T) {
	s, store := newService(t)
	var alerts []Verdict
	s.Alert = func(_ context.Context, v Verdict, _ Grant) { alerts = append(alerts, v) }
	first := begin(t, s, grantRequest())
	backup := store.grants[first.Grant.ID]
	second := refresh(t, s, first.RefreshToken, time.Minute)
	store.grants[first.Grant.ID] = backup
	_, err := use(t.Context(), s, second.RefreshToken, "web", noon.Add(time.Minute))
	refuses(t, err, Future)
	if fmt.Sprint(alerts) != "[future]" {
		t.Errorf("alerts %v", alerts)
	}
	refresh(t, s, first.RefreshToken, 2*time.Minute)
}

func TestFixedTokenStays(t *testing.T) {
	s, _ := newService(t)
	o := grantRequest()
	o.Fixed = true
	first := begin(t, s, o)
	for day := range 29 {
		i := refresh(t, s, first.RefreshToken, time.Duration(day)*23*time.Hour)
		if i.RefreshToken != first.RefreshToken || i.Verdict != Kept {
			t.Fatalf("day %d: %s, another token: %v", day, i.Verdict, i.RefreshToken != first.RefreshToken)
		}
	}
	_, err := use(t.Context(), s, first.RefreshToken, "web", noon.Add(28*23*time.Hour+24*time.Hour))
	refuses(t, err, Expired)
}

func TestUseNeverOutlivesTheAbsoluteLifetime(t *testing.T) {
	s, _ := newService(t)
	i := begin(t, s, grantRequest())
	for at := 20 * time.Hour; at < 30*24*time.Hour; at += 20 * time.Hour {
		i = refresh(t, s, i.RefreshToken, at)
	}
	if !i.Grant.IdleEnds.Equal(i.Grant.Ends) {
		t.Errorf("the idle end is %v, want the absolute one %v", i.Grant.IdleEnds, i.Grant.Ends)
	}
	_, err := use(t.Context(), s, i.RefreshToken, "web", noon.Add(30*24*time.Hour))
	refuses(t, err, Expired)
}

func TestFailingStoreIsNoRefusal(t *testing.T) {
	s, store := newService(t)
	first := begin(t, s, grantRequest())
	down := errors.New("the store is away")
	check := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, down) {
			t.Errorf("%s: %v", name, err)
		}
	}
	presented, err := s.Present(t.Context(), first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	store.fail = down
	_, err = s.Use(t.Context(), presented, "web", noon, noon)
	check("Use", err)
	_, err = use(t.Context(), s, first.RefreshToken, "web", noon)
	check("Present", err)
	_, err = s.Begin(t.Context(), grantRequest(), noon)
	check("Begin", err)
	check("Revoke", s.Revoke(t.Context(), first.RefreshToken, "web", "logout", noon))
	check("RevokeFamily", s.RevokeFamily(t.Context(), first.Grant.ID, "logout", noon))
	_, err = s.RevokeAll(
		t.Context(),
		revocation.Revocation{Kind: revocation.UserKind, Project: "default", ID: "alice"},
		noon,
	)
	check("RevokeAll", err)
	check("RevokeToken", s.RevokeToken(t.Context(), "iss", "jti", noon, noon))
	if s.DenyList.Len() != 0 {
		t.Error("something that was not committed is denied")
	}
}

func TestRevokeByAnyGenuineToken(t *testing.T) {
	for _, which := range []int{0, 2} {
		s, _ := newService(t)
		tokens := []string{begin(t, s, grantRequest()).RefreshToken}
		for i := range 2 {
			tokens = append(tokens, refresh(t, s, tokens[i], time.Duration(i)*time.Minute).RefreshToken)
		}
		refuses(t, s.Revoke(t.Context(), tokens[which], "another", "revoked", noon), OtherClient)
		for _, meaningless := range []string{
			"", "rt_x", (Tokens{Secrets: []Secret{secret("k1", 9)}}).Make(someGrant(), 0),
			strings.Replace(tokens[which], "rt_k1", "rt_k2", 1),
		} {
			if err := s.Revoke(t.Context(), meaningless, "web", "revoked", noon); err != nil {
				t.Errorf("%q: %v", meaningless, err)
			}
		}
		if s.DenyList.Len() != 0 {
			t.Fatal("revoked too early")
		}
		for range 2 {
			if err := s.Revoke(t.Context(), tokens[which], "web", "revoked", noon); err != nil {
				t.Fatal(err)
			}
		}
		_, err := use(t.Context(), s, tokens[2], "web", noon.Add(3*time.Minute))
		refuses(t, err, Ended)
		g, err := s.Find(t.Context(), tokens[1])
		if err != nil || g.RevokedFor != "revoked" ||
			s.DenyList.Denied(revocation.Subject{Family: g.ID}) != revocation.FamilyKind {
			t.Errorf("the family is %+v, %v", g, err)
		}
	}
}

func TestRevocationEndsWhatWasAndNotWhatComes(t *testing.T) {
	for _, o := range []revocation.Revocation{
		{Kind: revocation.UserKind, Project: "default", ID: "alice"},
		{Kind: revocation.ClientKind, Project: "default", ID: "web"},
		{Kind: revocation.ProjectKind, Project: "default"},
	} {
		s, _ := newService(t)
		first := begin(t, s, grantRequest())
		elsewhere := grantRequest()
		elsewhere.Project = "other"
		other := begin(t, s, elsewhere)
		if n, err := s.RevokeAll(t.Context(), o, noon); n != 1 || err != nil {
			t.Errorf("%v ended %d grants, %v; want 1", o.Kind, n, err)
		}
		if got := s.DenyList.Denied(familyOf(first.Grant)); got != o.Kind {
			t.Errorf("a token from before is denied as %q", got)
		}
		_, err := use(t.Context(), s, first.RefreshToken, "web", noon)
		refuses(t, err, Ended)
		after := begin(t, s, grantRequest())
		for _, c := range []struct {
			name string
			i    Issued
		}{
			{"after it", after}, {"another project", other},
			{"refreshed after it", refresh(t, s, after.RefreshToken, time.Minute)},
		} {
			t.Run(c.name, func(t *testing.T) {
				if got := s.DenyList.Denied(familyOf(c.i.Grant)); got != "" {
					t.Errorf("%v: %s is denied as %q", o.Kind, c.name, got)
				}
			})
		}
	}
}

func TestRevocationThatNamesNobodyIsRefused(t *testing.T) {
	s, store := newService(t)
	for _, o := range []revocation.Revocation{
		{}, {Kind: revocation.UserKind, ID: "alice"}, {Kind: revocation.UserKind, Project: "p"},
		{Kind: revocation.ClientKind, Project: "p"}, {Kind: revocation.ProjectKind},
		{Kind: revocation.ProjectKind, Project: "p", ID: "x"}, {Kind: revocation.FamilyKind, Project: "p", ID: "x"},
	} {
		if _, err := s.RevokeAll(t.Context(), o, noon); err == nil {
			t.Errorf("%+v was carried out", o)
		}
	}
	if err := s.RevokeToken(t.Context(), "iss", "", noon, noon); err == nil || len(store.denials) > 0 {
		t.Errorf("a token without jti: %v", err)
	}
}

// A revocation between the check of the password and the beginning of the session wins.
func TestRevocationWhileSigningIn(t *testing.T) {
	s, _ := newService(t)
	o := grantRequest()
	var err error
	if o.Epoch, err = s.Epoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RevokeAll(t.Context(),
		revocation.Revocation{Kind: revocation.UserKind, Project: "default", ID: "alice"}, noon); err != nil {
		t.Fatal(err)
	}
	_, err = s.Begin(t.Context(), o, noon)
	refuses(t, err, NotAllowed)
	begin(t, s, grantRequest())
}

// A revocation between the presentation of a refresh token and its use wins.
func TestRevocationWhileATokenIsPresented(t *testing.T) {
	s, _ := newService(t)
	first := begin(t, s, grantRequest())
	presented, err := s.Present(t.Context(), first.RefreshToken)
	if err != nil || presented.Likely("web", noon) != Advanced {
		t.Fatalf("%+v, %v", presented, err)
	}
	if _, err := s.RevokeAll(t.Context(),
		revocation.Revocation{Kind: revocation.UserKind, Project: "default", ID: "alice"}, noon); err != nil {
		t.Fatal(err)
	}
	_, err = s.Use(t.Context(), presented, "web", noon, noon)
	refuses(t, err, Ended)
}

// What will be refused by all appearances is told before it is tried.
func TestLikelyIsWhatAUseWouldComeTo(t *testing.T) {
	s, _ := newService(t)
	r := grantRequest()
	r.Reuse = 0
	first := begin(t, s, r)
	refresh(t, s, first.RefreshToken, time.Minute)
	presented, err := s.Present(t.Context(), first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		client string
		at     time.Duration
		want   Verdict
	}{
		{"web", 2 * time.Minute, Reused}, {"another", 2 * time.Minute, OtherClient},
		{"web", 31 * 24 * time.Hour, Expired},
	} {
		if got := presented.Likely(c.client, noon.Add(c.at)); got != c.want {
			t.Errorf("%s after %v: %s, want %s", c.client, c.at, got, c.want)
		}
	}
	if g, err := s.Find(t.Context(), first.RefreshToken); err != nil || !g.Revoked.IsZero() {
		t.Errorf("asking has changed something: %+v, %v", g, err)
	}
}

func TestImpossibleLifetimesAreRefused(t *testing.T) {
	s, _ := newService(t)
	for _, c := range []struct {
		word   string
		change func(*GrantRequest)
	}{
		{"access_token:", func(r *GrantRequest) { r.Access = 0 }},
		{"refresh_token:", func(r *GrantRequest) { r.Idle = 0 }},
		{"refresh_absolute:", func(r *GrantRequest) { r.Absolute = r.Idle - 1 }},
		{"refresh_reuse_interval:", func(r *GrantRequest) { r.Reuse = MaxReuse + 1 }},
	} {
		t.Run(c.word, func(t *testing.T) {
			r := grantRequest()
			c.change(&r)
			if _, err := s.Begin(t.Context(), r, noon); err == nil || !strings.Contains(err.Error(), c.word) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := s.New(grantRequest(), noon); err == nil || !strings.Contains(err.Error(), "epoch:") {
		t.Errorf("without an epoch: %v", err)
	}
}

func TestWhatAClientSaysOfItselfIsBounded(t *testing.T) {
	s, _ := newService(t)
	o := grantRequest()
	o.Device, o.ClientIP = strings.Repeat("ä", 1000), "1.2.3.4\x00\xff"
	i := begin(t, s, o)
	if len(i.Grant.Device) > maxSeenText || i.Grant.ClientIP != "1.2.3.4" {
		t.Errorf("kept %d bytes of the device and the address %q", len(i.Grant.Device), i.Grant.ClientIP)
	}
	o.Device = strings.Repeat("a", 255) + "ä"
	if i := begin(t, s, o); i.Grant.Device != strings.Repeat("a", 255) {
		t.Errorf("a character cut in two left %q", i.Grant.Device)
	}
}

func TestTwoHundredRefreshesAtOnce(t *testing.T) {
	s, _ := newService(t)
	first := begin(t, s, grantRequest())
	var mu sync.Mutex
	successors := map[string]int{}
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			i, err := use(t.Context(), s, first.RefreshToken, "web", noon)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			successors[i.RefreshToken]++
		})
	}
	all.Wait()
	if len(successors) != 1 {
		t.Errorf("%d successors, want 1", len(successors))
	}
}

// TestStrangersAreBounded: a token whose family is made up is looked up within bounds, one of a
// grant that began here is not.
func TestStrangersAreBounded(t *testing.T) {
	s, _ := newService(t)
	begun, err := s.Begin(t.Context(), grantRequest(), noon)
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("too many questions")
	s.BoundUnknown = func(context.Context) (func(), error) { return nil, full }
	made := s.Tokens.Make(Grant{ID: "FAMILY-of_26-characters-00", Seed: []byte("seed")}, 0)
	if _, err := use(t.Context(), s, made, "web", noon); err != full {
		t.Errorf("a made-up token while there is no place: %v", err)
	}
	if _, err := use(t.Context(), s, begun.RefreshToken, "web", noon); err != nil {
		t.Errorf("a good token while there is no place for others: %v", err)
	}
	left := 0
	s.BoundUnknown = func(context.Context) (func(), error) { return func() { left++ }, nil }
	_, err = use(t.Context(), s, made, "web", noon)
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Verdict != Unknown || left != 1 {
		t.Errorf("a made-up token: %v; its place was given back %d times", err, left)
	}
}
