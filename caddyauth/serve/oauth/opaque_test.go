package oauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

func newOpaque() (*Opaque, *memoryStore) {
	store := &memoryStore{opaque: map[string]Reference{}}
	return &Opaque{Secrets: opaqueSecrets, Store: store, Issuer: token.Issuer{Name: ownIssuer}, Denied: &revocation.DenyList{}}, store
}

var opaqueSecrets = []session.Secret{{ID: "1", Key: []byte(strings.Repeat("o", 32))}}

func claimsFor(subject string, lifetime time.Duration) token.Claims {
	now := time.Now()
	return token.Claims{
		Issuer: ownIssuer, Subject: subject, Audience: []string{"api"}, IssuedAt: now, Expiry: now.Add(lifetime), ID: "id-" + subject,
		ClientID: "spa", Project: "default", Session: "family", Protocol: map[string]any{"epoch": int64(5)},
	}
}

func mustIssue(t testing.TB, o *Opaque, c token.Claims) string {
	t.Helper()
	raw, err := o.Issue(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestOpaqueTokenSaysNothingAndIsStoredHashed(t *testing.T) {
	o, store := newOpaque()
	raw, other := mustIssue(t, o, claimsFor("alice", time.Hour)), mustIssue(t, o, claimsFor("alice", time.Hour))
	if !IsOpaque(raw) || len(raw) != 67 || raw == other {
		t.Errorf("%q and %q", raw, other)
	}
	r := store.opaque[HashOpaque(raw)]
	want := revocation.Subject{Issuer: ownIssuer, TokenID: "id-alice", Family: "family", Project: "default", Subject: "alice", ClientID: "spa", Epoch: 5}
	if len(store.opaque) != 2 || r.Subject != want || r.Expiry.IsZero() || strings.Contains(fmt.Sprintf("%+v %s", r, r.Claims), raw[3:]) {
		t.Errorf("stored as %+v", r)
	}
	got, err := o.Verify(t.Context(), raw)
	if err != nil || got.Raw() != raw || got.Subject != "alice" || !got.Own() || got.Type != token.OpaqueType || got.Session != "family" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOpaqueTokenIsNotIssuedWhenItCouldNotBeUsed(t *testing.T) {
	down := errors.New("the disk is full")
	for _, tc := range []struct {
		name   string
		change func(*token.Claims, *memoryStore)
	}{
		{"no jti", func(c *token.Claims, _ *memoryStore) { c.ID = "" }},
		{"no subject", func(c *token.Claims, _ *memoryStore) { c.Subject = "" }},
		{"another issuer", func(c *token.Claims, _ *memoryStore) { c.Issuer = "https://other" }},
		{"the store", func(_ *token.Claims, s *memoryStore) { s.writing = down }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, store := newOpaque()
			c := claimsFor("alice", time.Hour)
			tc.change(&c, store)
			if raw, err := o.Issue(t.Context(), c); err == nil || raw != "" || len(store.opaque) != 0 {
				t.Errorf("%s: %q, %v, %d stored", tc.name, raw, err, len(store.opaque))
			}
		})
	}
}

func TestOpaqueTokenHasOneSpelling(t *testing.T) {
	o, store := newOpaque()
	raw := mustIssue(t, o, claimsFor("alice", time.Hour))
	for _, c := range []struct{ name, text string }{
		{"empty", ""}, {"prefix", "at_"}, {"case", "AT_" + raw[3:]}, {"padding", raw + "="}, {"longer", raw + "A"}, {"shorter", raw[:66]}, {"space", " " + raw[:66]},
		{"line break", raw[:66] + "\n"}, {"alphabet", raw[:66] + "+"}, {"long", "at_" + strings.Repeat("A", 1<<20)}, {"as long as they once were", raw[:46]},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := o.Verify(t.Context(), c.text); refusalReason(err) != token.Malformed {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
	if store.asked() != 0 {
		t.Errorf("the store was asked %d times", store.asked())
	}
}

// TestOpaqueTokensThatWereNotMadeHereAreNotLookedUp: each look-up is a question to the database,
// which strangers could ask as often as they like.
func TestOpaqueTokensThatWereNotMadeHereAreNotLookedUp(t *testing.T) {
	o, store := newOpaque()
	raw := mustIssue(t, o, claimsFor("alice", time.Hour))
	foreign := &Opaque{Secrets: []session.Secret{{ID: "1", Key: []byte(strings.Repeat("x", 32))}}, Store: store, Issuer: o.Issuer}
	garbage := []string{opaquePrefix + strings.Repeat("A", opaqueText), mustIssue(t, foreign, claimsFor("bob", time.Hour))}
	for i := len(opaquePrefix); i < len(raw); i++ {
		changed := byte('A')
		if raw[i] == changed {
			changed = 'B'
		}
		garbage = append(garbage, raw[:i]+string(changed)+raw[i+1:])
	}
	for _, text := range garbage {
		if _, err := o.Verify(t.Context(), text); refusalReason(err) != token.Inactive {
			t.Errorf("%s: %v", text, err)
		}
	}
	if store.asked() != 0 {
		t.Errorf("the store was asked %d times", store.asked())
	}
}

// TestOpaqueTokensOutliveTheirSecretForAsLongAsItIsKept: the secrets of a server change, the first
// one makes tokens.
func TestOpaqueTokensOutliveTheirSecretForAsLongAsItIsKept(t *testing.T) {
	o, store := newOpaque()
	raw := mustIssue(t, o, claimsFor("alice", time.Hour))
	next := session.Secret{ID: "2", Key: []byte(strings.Repeat("n", 32))}
	for _, c := range []struct {
		name    string
		secrets []session.Secret
		want    token.Reason
	}{
		{"kept", []session.Secret{next, opaqueSecrets[0]}, ""}, {"gone", []session.Secret{next}, token.Inactive}, {"none is known", nil, token.KeysUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &Opaque{Secrets: c.secrets, Store: store, Issuer: o.Issuer}
			if _, err := o.Verify(t.Context(), raw); refusalReason(err) != c.want {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := (&Opaque{Store: store, Issuer: o.Issuer}).Issue(t.Context(), claimsFor("bob", time.Hour)); err == nil {
		t.Error("a token was made without a secret")
	}
}

func TestOpaqueTokenIsRememberedForAWhile(t *testing.T) {
	for _, c := range []struct {
		name                           string
		cacheFor, lifetime, remembered time.Duration
	}{
		{"by default", 0, time.Hour, time.Minute},
		{"as configured", 10 * time.Second, time.Hour, 10 * time.Second},
		{"never past its end", 0, 20 * time.Second, 20 * time.Second},
		{"not when switched off", -1, time.Hour, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, store := newOpaque()
				o.CacheFor = c.cacheFor
				raw := mustIssue(t, o, claimsFor("alice", c.lifetime))
				ask := func(want int) {
					t.Helper()
					if _, err := o.Verify(t.Context(), raw); err != nil || store.asked() != want {
						t.Errorf("%v; the store was asked %d times, want %d", err, store.asked(), want)
					}
				}
				ask(1)
				if c.remembered > 0 {
					time.Sleep(c.remembered - time.Nanosecond)
					ask(1)
					time.Sleep(time.Nanosecond)
				}
				ask(2)
			})
		})
	}
}

func TestUnknownOpaqueTokenIsRememberedShortly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, store := newOpaque()
		raw := mustIssue(t, o, claimsFor("alice", time.Hour))
		clear(store.opaque)
		for _, c := range []struct {
			wait time.Duration
			want int
		}{{0, 1}, {negativeFor - 1, 1}, {1, 2}} {
			time.Sleep(c.wait)
			if _, err := o.Verify(t.Context(), raw); refusalReason(err) != token.Inactive || store.asked() != c.want {
				t.Errorf("%v; asked %d times, want %d", err, store.asked(), c.want)
			}
		}
	})
}

func TestRevocationOverrulesWhatIsRemembered(t *testing.T) {
	for _, c := range []struct {
		name string
		d    revocation.Denial
	}{
		{"token", revocation.Denial{Kind: revocation.TokenKind, Scope: ownIssuer, ID: "id-alice"}},
		{"family", revocation.Denial{Kind: revocation.FamilyKind, ID: "family"}},
		{"user", revocation.Denial{Kind: revocation.UserKind, Scope: "default", ID: "alice", Epoch: 6}},
		{"client", revocation.Denial{Kind: revocation.ClientKind, Scope: "default", ID: "spa", Epoch: 6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, store := newOpaque()
			raw := mustIssue(t, o, claimsFor("alice", time.Hour))
			if _, err := o.Verify(t.Context(), raw); err != nil {
				t.Fatal(err)
			}
			o.Denied.Add(c.d)
			for range 3 {
				if _, err := o.Verify(t.Context(), raw); refusalReason(err) != token.Revoked || store.asked() != 1 {
					t.Errorf("%s: %v, asked %d times", c.name, err, store.asked())
				}
			}
			if s := &o.answers.shards[keyOf(raw)[0]%answerShards]; len(s.good) != 0 {
				t.Errorf("%s: it is still kept", c.name)
			}
		})
	}
}

// The store knows of a revocation on another node before the deny list of this one does.
func TestStoreKnowsWhatIsDenied(t *testing.T) {
	o, store := newOpaque()
	raw := mustIssue(t, o, claimsFor("alice", time.Hour))
	store.denials.Add(revocation.Denial{Kind: revocation.TokenKind, Scope: ownIssuer, ID: "id-alice"})
	if _, err := o.Verify(t.Context(), raw); refusalReason(err) != token.Revoked {
		t.Error(err)
	}
}

func TestStoreThatFailsSaysNothingAboutTheToken(t *testing.T) {
	o, store := newOpaque()
	raw := mustIssue(t, o, claimsFor("alice", time.Hour))
	store.fail = errors.New("the disk is full")
	if _, err := o.Verify(t.Context(), raw); refusalReason(err) != token.KeysUnavailable || !errors.Is(err, store.fail) {
		t.Error(err)
	}
	store.fail = nil
	if _, err := o.Verify(t.Context(), raw); err != nil {
		t.Errorf("the failure was remembered: %v", err)
	}
	store.fail = errors.New("again")
	if _, err := o.Verify(t.Context(), raw); err != nil {
		t.Errorf("what was remembered is forgotten: %v", err)
	}
}

// slow is a question that is answered when the test says so.
type slow struct {
	asked   int
	mu      sync.Mutex
	release chan struct{}
}

func (s *slow) ask(ctx context.Context) (*token.Token, error) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	select {
	case <-s.release:
		return token.FromClaims(token.Issuer{Name: "https://idp"}, "x", []byte(`{"sub":"alice","aud":"api","exp":32503680000}`))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestManyWhoBringTheSameTokenAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a answers
		s := &slow{release: make(chan struct{})}
		first, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _, _ = a.find(first, keyOf("x"), memory{cacheFor: time.Minute}, s.ask) })
		synctest.Wait()
		for range 50 {
			all.Go(func() {
				got, err := a.find(t.Context(), keyOf("x"), memory{cacheFor: time.Minute}, s.ask)
				if err != nil || got.Subject != "alice" {
					t.Errorf("%v, %v", got, err)
				}
			})
		}
		synctest.Wait()
		leave() // the others are answered all the same
		synctest.Wait()
		close(s.release)
		all.Wait()
		if s.asked != 1 {
			t.Errorf("asked %d times", s.asked)
		}
	})
}

func TestQuestionEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := answers{asking: make(chan struct{}, 2)}
		s := &slow{release: make(chan struct{})}
		began := time.Now()
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				if _, err := a.find(t.Context(), keyOf(fmt.Sprint(i)), memory{}, s.ask); refusalReason(err) != token.KeysUnavailable {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took > askFor || s.asked != 2 {
			t.Errorf("it took %v, %d questions got through two places", took, s.asked)
		}
	})
}

func TestQuestionThatPanicsLeavesNobodyWaiting(t *testing.T) {
	var a answers
	ask := func() (err error) {
		defer func() { _ = recover() }()
		_, err = a.find(t.Context(), keyOf("x"), memory{cacheFor: time.Minute}, func(context.Context) (*token.Token, error) { panic("x") })
		return err
	}
	_ = ask()
	good := func(context.Context) (*token.Token, error) {
		return token.FromClaims(token.Issuer{Name: "https://idp"}, "x", []byte(`{"sub":"alice","aud":"api","exp":32503680000}`))
	}
	if _, err := a.find(t.Context(), keyOf("x"), memory{cacheFor: time.Minute}, good); err != nil {
		t.Error(err)
	}
}

// Tokens that are gone neither fill the memory nor push good ones out.
func TestMemoryIsBounded(t *testing.T) {
	o, store := newOpaque()
	good := make([]string, 200)
	for i := range good {
		good[i] = mustIssue(t, o, claimsFor(fmt.Sprint("user ", i), time.Hour))
		if _, err := o.Verify(t.Context(), good[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 * mostRefused * answerShards {
		gone := mustIssue(t, o, claimsFor(fmt.Sprint("gone ", i), time.Hour))
		delete(store.opaque, HashOpaque(gone))
		if _, err := o.Verify(t.Context(), gone); refusalReason(err) != token.Inactive {
			t.Fatal(err)
		}
	}
	refused := 0
	for i := range o.answers.shards {
		refused += len(o.answers.shards[i].refused)
	}
	if refused > mostRefused*answerShards || refused == 0 {
		t.Errorf("%d refusals are kept", refused)
	}
	before := store.asked()
	for _, raw := range good {
		if _, err := o.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	if store.asked() != before {
		t.Errorf("%d good tokens were forgotten", store.asked()-before)
	}
	in, now := map[answerKey]answer{}, time.Now()
	for i := range 100 {
		keep(in, keyOf(fmt.Sprint(i)), answer{until: now.Add(time.Duration(i%2) * time.Hour)}, 10, now)
	}
	if len(in) != 10 {
		t.Errorf("%d of at most 10", len(in))
	}
}

func TestRememberedTokenCostsNoAllocation(t *testing.T) {
	o, _ := newOpaque()
	raw := mustIssue(t, o, claimsFor("alice", time.Hour))
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := o.Verify(ctx, raw); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRememberedOpaqueToken(b *testing.B) {
	o, _ := newOpaque()
	raw := mustIssue(b, o, claimsFor("alice", time.Hour))
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Verify(ctx, raw); err != nil {
			b.Fatal(err)
		}
	}
}
