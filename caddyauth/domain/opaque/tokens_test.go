package opaque

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

func newTokens() (*Tokens, *memoryStore) {
	store := &memoryStore{}
	return &Tokens{
		Secrets:  testKeys,
		IsDenied: store.isDenied,
		Issuer:   token.Issuer{Name: ownIssuer},
		Denied:   &revocation.DenyList{},
	}, store
}

var testKeys = []keyring.Subkey{{ID: "1", Key: []byte(strings.Repeat("o", 32))}}

func claimsFor(subject string, lifetime time.Duration) token.Claims {
	now := time.Now()
	return token.Claims{
		Issuer:   ownIssuer,
		Subject:  subject,
		Audience: []string{"api"},
		IssuedAt: now,
		Expiry:   now.Add(lifetime),
		ID:       "id-" + subject,
		ClientID: "spa", Project: "default", Session: "family", Protocol: map[string]any{"epoch": int64(5)},
	}
}

func mustIssue(t testing.TB, o *Tokens, c token.Claims) string {
	t.Helper()
	raw, err := o.Issue(c)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestOpaqueTokenSaysNothing: two of the same claims have nothing in common, and little is told by the
// length.
func TestOpaqueTokenSaysNothing(t *testing.T) {
	o, store := newTokens()
	raw, other := mustIssue(t, o, claimsFor("alice", time.Hour)), mustIssue(t, o, claimsFor("alice", time.Hour))
	sealed, ok := decode(raw)
	if !IsOwn(raw) || !ok || bytes.Contains(sealed, []byte("alice")) || len(raw)%64 != len(other)%64 {
		t.Errorf("%q and %q", raw, other)
	}
	for i := len(Prefix); i+8 <= len(raw); i++ {
		if strings.Contains(other, raw[i:i+8]) {
			t.Errorf("both hold %s", raw[i:i+8])
		}
	}
	lengths := map[int]int{}
	for i := range 2 * blockBytes {
		lengths[len(mustIssue(t, o, claimsFor(strings.Repeat("x", i+1), time.Hour)))]++
	}
	if len(lengths) > 5 { // the name is in the claims twice
		t.Errorf("lengths are %v", lengths)
	}
	got, err := o.Verify(t.Context(), raw)
	if err != nil || got.Raw() != raw || got.Subject != "alice" || !got.Own() || got.Type() != token.OpaqueType {
		t.Errorf("%+v, %v", got, err)
	}
	want := revocation.Subject{
		Issuer:   ownIssuer,
		TokenID:  "id-alice",
		Family:   "family",
		Project:  "default",
		Subject:  "alice",
		ClientID: "spa",
		Epoch:    5,
	}
	if got.RevocationSubject() != want || store.asked() != 1 {
		t.Errorf("%+v, asked %d times", got.RevocationSubject(), store.asked())
	}
}

func TestOpaqueTokenIsNotIssuedWhenItCouldNotBeUsed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*token.Claims)
	}{
		{"no jti", func(c *token.Claims) { c.ID = "" }},
		{"no subject", func(c *token.Claims) { c.Subject = "" }},
		{"another issuer", func(c *token.Claims) { c.Issuer = "https://other" }},
		{"too long", func(c *token.Claims) { c.Extra = map[string]any{"x": strings.Repeat("x", 6000)} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, _ := newTokens()
			c := claimsFor("alice", time.Hour)
			tc.change(&c)
			if raw, err := o.Issue(c); err == nil || raw != "" || refusalReason(err) != "" {
				t.Errorf("%q, %v: nobody presented a token that could be refused", raw, err)
			}
		})
	}
}

// TestOpaqueTokensAreAsLongAsTheyAreRead: of the claims that become longer byte by byte, those are
// issued whose token is read, and the error names the limit.
func TestOpaqueTokensAreAsLongAsTheyAreRead(t *testing.T) {
	o, _ := newTokens()
	issued, refused := 0, 0
	for n := range 100 {
		c := claimsFor("alice", time.Hour)
		c.Extra = map[string]any{"x": strings.Repeat("x", 5860+n)}
		raw, err := o.Issue(c)
		switch {
		case err != nil && strings.Contains(err.Error(), "more than 8192"):
			refused++
		case err != nil || refused > 0:
			t.Fatalf("%d after %d refused ones: %v", n, refused, err)
		default:
			issued++
			if _, err := o.Verify(t.Context(), raw); err != nil {
				t.Fatalf("%d bytes: %v", len(raw), err)
			}
		}
	}
	if issued == 0 || refused == 0 {
		t.Errorf("%d issued, %d refused", issued, refused)
	}
}

// TestTheStoreIsNotAskedAboutWhatHasLongExpired, or whoever has kept one token could ask it with each
// request: what is over is not remembered.
func TestTheStoreIsNotAskedAboutWhatHasLongExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, store := newTokens()
		raw := mustIssue(t, o, claimsFor("alice", time.Hour))
		for _, c := range []struct {
			wait time.Duration
			want int
		}{{time.Hour + revocation.Margin - time.Second, 1}, {2 * time.Second, 1}, {time.Hour, 1}} {
			time.Sleep(c.wait)
			got, err := o.Verify(t.Context(), raw)
			if err != nil || got.CheckTime(time.Now(), leeway.Max) == nil || store.asked() != c.want {
				t.Errorf("%v: %v, %v; the store was asked %d times", c.wait, got, err, store.asked())
			}
		}
	})
}

func TestOpaqueTokenHasOneSpelling(t *testing.T) {
	o, store := newTokens()
	raw := mustIssue(t, o, claimsFor("alice", time.Hour))
	for _, c := range []struct{ name, text string }{
		{"empty", ""}, {"prefix", "at_"}, {"case", "AT_" + raw[3:]}, {"padding", raw + "="},
		{"stray bits", raw[:len(raw)-1] + "_"},
		{"space", " " + raw}, {"a line break behind", raw + "\n"}, {"a line break within", raw[:40] + "\n" + raw[40:]},
		{"alphabet", raw[:len(raw)-1] + "+"}, {"long", "at_" + strings.Repeat("A", 1<<20)},
		{"nothing sealed", raw[:len(Prefix)+54]}, {"as long as they once were", raw[:46]},
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

// TestOpaqueTokensThatWereNotMadeHereAreRefused without a question to the database, which strangers
// could ask as often as they like.
func TestOpaqueTokensThatWereNotMadeHereAreRefused(t *testing.T) {
	o, store := newTokens()
	raw := mustIssue(t, o, claimsFor("alice", time.Hour))
	foreign := &Tokens{
		Secrets: []keyring.Subkey{{ID: "1", Key: []byte(strings.Repeat("x", 32))}},
		Issuer:  o.Issuer,
	}
	garbage := []string{
		Prefix + strings.Repeat("A", 64), Prefix + strings.Repeat("A", len(raw)-len(Prefix)),
		raw[:len(raw)-2], raw[:len(raw)-2-64], raw + "AAAA", raw[:len(Prefix)] + raw[len(Prefix)+4:],
		mustIssue(t, foreign, claimsFor("bob", time.Hour)),
	}
	for i := len(Prefix); i < len(raw)-1; i++ { // the last character has stray bits
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
	o, store := newTokens()
	raw := mustIssue(t, o, claimsFor("alice", time.Hour))
	next := keyring.Subkey{ID: "2", Key: []byte(strings.Repeat("n", 32))}
	for _, c := range []struct {
		name    string
		secrets []keyring.Subkey
		want    token.Reason
	}{
		{"kept", []keyring.Subkey{next, testKeys[0]}, ""}, {"gone", []keyring.Subkey{next}, token.Inactive},
		{"none is known", nil, token.KeysUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &Tokens{Secrets: c.secrets, IsDenied: store.isDenied, Issuer: o.Issuer}
			if _, err := o.Verify(t.Context(), raw); refusalReason(err) != c.want {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := (&Tokens{Issuer: o.Issuer}).Issue(claimsFor("bob", time.Hour)); err == nil {
		t.Error("a token was made without a secret")
	}
}

func TestOpaqueTokenIsRememberedForAWhile(t *testing.T) {
	for _, c := range []struct {
		name                          string
		cacheFor, lifetime, cacheTime time.Duration
	}{
		{"by default", 0, time.Hour, time.Minute},
		{"as configured", 10 * time.Second, time.Hour, 10 * time.Second},
		{"never past its end", 0, 20 * time.Second, 20 * time.Second},
		{"not when switched off", -1, time.Hour, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, store := newTokens()
				o.CacheFor = c.cacheFor
				raw := mustIssue(t, o, claimsFor("alice", c.lifetime))
				ask := func(want int) {
					t.Helper()
					if _, err := o.Verify(t.Context(), raw); err != nil || store.asked() != want {
						t.Errorf("%v; the store was asked %d times, want %d", err, store.asked(), want)
					}
				}
				ask(1)
				if c.cacheTime > 0 {
					time.Sleep(c.cacheTime - time.Nanosecond)
					ask(1)
					time.Sleep(time.Nanosecond)
				}
				ask(2)
			})
		})
	}
}

func TestDeniedOpaqueTokenIsRememberedShortly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, store := newTokens()
		raw := mustIssue(t, o, claimsFor("alice", time.Hour))
		store.denials.Add(revocation.Denial{Kind: revocation.TokenKind, Scope: ownIssuer, ID: "id-alice"})
		for _, c := range []struct {
			wait time.Duration
			want int
		}{{0, 1}, {refusalTime - 1, 1}, {1, 2}} {
			time.Sleep(c.wait)
			if _, err := o.Verify(t.Context(), raw); refusalReason(err) != token.Revoked || store.asked() != c.want {
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
			o, store := newTokens()
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
			if s := &o.cache.shards[keyOf(raw)[0]%shardCount]; len(s.valid) != 0 {
				t.Errorf("%s: it is still kept", c.name)
			}
		})
	}
}

// The store knows of a revocation on another node before the deny list of this one does.
func TestStoreKnowsWhatIsDenied(t *testing.T) {
	o, store := newTokens()
	raw := mustIssue(t, o, claimsFor("alice", time.Hour))
	store.denials.Add(revocation.Denial{Kind: revocation.TokenKind, Scope: ownIssuer, ID: "id-alice"})
	if _, err := o.Verify(t.Context(), raw); refusalReason(err) != token.Revoked {
		t.Error(err)
	}
}

func TestStoreThatFailsSaysNothingAboutTheToken(t *testing.T) {
	o, store := newTokens()
	raw := mustIssue(t, o, claimsFor("alice", time.Hour))
	store.fail = errors.New("the disk is full")
	if _, err := o.Verify(t.Context(), raw); refusalReason(err) != token.KeysUnavailable ||
		!errors.Is(err, store.fail) {
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

// Tokens that are gone neither fill the memory nor push good ones out.
func TestMemoryIsBounded(t *testing.T) {
	o, store := newTokens()
	good := make([]string, 200)
	for i := range good {
		good[i] = mustIssue(t, o, claimsFor(fmt.Sprint("user ", i), time.Hour))
		if _, err := o.Verify(t.Context(), good[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 * maxRefused * shardCount {
		gone := mustIssue(t, o, claimsFor(fmt.Sprint("gone ", i), time.Hour))
		id := fmt.Sprint("id-gone ", i)
		store.denials.Add(revocation.Denial{Kind: revocation.TokenKind, Scope: ownIssuer, ID: id})
		if _, err := o.Verify(t.Context(), gone); refusalReason(err) != token.Revoked {
			t.Fatal(err)
		}
	}
	refused := 0
	for i := range o.cache.shards {
		refused += len(o.cache.shards[i].refused)
	}
	if refused > maxRefused*shardCount || refused == 0 {
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
	in, now := map[cacheKey]entry{}, time.Now()
	for i := range 100 {
		put(in, keyOf(fmt.Sprint(i)), entry{until: now.Add(time.Duration(i%2) * time.Hour)}, 10, now)
	}
	if len(in) != 10 {
		t.Errorf("%d of at most 10", len(in))
	}
}

func TestRememberedTokenCostsNoAllocation(t *testing.T) {
	o, _ := newTokens()
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
	o, _ := newTokens()
	raw := mustIssue(b, o, claimsFor("alice", time.Hour))
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Verify(ctx, raw); err != nil {
			b.Fatal(err)
		}
	}
}
