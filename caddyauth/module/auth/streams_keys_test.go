package auth

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/stream"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/config"
)

const keyedIssuer = "https://auth.example.com"

// watched is a watcher of streams in virtual time, over a store that is a map.
type watched struct {
	stream.Watcher
	denied revocation.DenyList
	began  time.Time

	mu       sync.Mutex
	families map[string]session.Grant
}

// inTime runs a test of streams in virtual time.
func inTime(t *testing.T, test func(t *testing.T, w *watched)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := &watched{families: make(map[string]session.Grant), began: time.Now()}
		w.Watcher = stream.Watcher{
			Context:   ctx,
			Denied:    func(t *token.Token) bool { return w.denied.Denied(t.RevocationSubject()) != "" },
			Changed:   w.denied.Changed,
			Stale:     func(time.Time) time.Duration { return 0 },
			FindGrant: w.find,
			Hold:      func() bool { return true },
			Release:   func() {},
		}
		test(t, w)
	})
}

func (w *watched) find(_ context.Context, id string) (session.Grant, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g, ok := w.families[id]; ok {
		return g, nil
	}
	return session.Grant{}, session.ErrNoGrant
}

// watchedStream is an event stream that a gate has admitted.
type watchedStream struct {
	answer  stream.Answer
	token   *token.Token
	handler context.Context // of the handlers
	ended   token.Reason
}

// stream begins one that a token has let in: a session's in the session cookie, and any other in
// the bearer header.
func (w *watched) stream(admitted *token.Token, grace time.Duration) *watchedStream {
	cookie := gate.Source{Kind: gate.Cookie, Name: "access_token"}
	source := gate.Source{Kind: gate.Bearer}
	if admitted.Session != "" {
		source = cookie
	}
	g := &gate.Gate{
		Audiences: []string{"web"},
		Issuers:   map[string][]string{admitted.Issuer(): nil},
		Sources:   []gate.Source{source},
		Owned:     new(gate.Owned),
		Verify:    func(context.Context, string) (*token.Token, error) { return admitted, nil },
		Revoked:   func(*token.Token, time.Time) error { return nil },
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer x")
	if source == cookie {
		r.Header.Del("Authorization")
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: "x"})
	}
	if err := g.Validate(); err != nil {
		panic(err)
	}
	admission, err := g.Admit(r, nil, admitted.IssuedAt.Time())
	if err != nil {
		panic(err)
	}
	st := &watchedStream{token: admitted}
	st.handler = st.answer.Watch(&stream.Policy{
		Watcher:   &w.Watcher,
		Session:   cookie,
		Grace:     grace,
		Staleness: 10 * time.Minute,
		Ended:     func(why token.Reason, _ *token.Token) { st.ended = why },
	}, r, admission).Context()
	answer := httptest.NewRecorder()
	answer.Header().Set("Content-Type", "text/event-stream")
	st.answer.WroteHeader(answer, http.StatusOK)
	return st
}

// app is an App of the watched store that has no keys yet.
func (w *watched) app(issuer string) *App {
	return &App{
		server: &config.Server{Issuer: issuer},
		ctx:    caddy.Context{Context: w.Context},
		keys:   &Keys{issuer: issuer},
	}
}

// configuration is an App of the watched store whose keys are configured; streams are held to it
// until untrack.
func (w *watched) configuration(t *testing.T, keys ...*keyring.Key) (app *App, untrack func()) {
	t.Helper()
	app = w.app(keyedIssuer)
	if len(keys) > 0 {
		ring, err := keyring.NewRing(keys, "")
		if err != nil {
			t.Fatal(err)
		}
		app.keys.ring.Store(ring)
	}
	return app, w.Track(app.keys)
}

// generated is a configuration whose keys are generated, and changed in a store of their own.
type generated struct {
	*App
	store   *keyStore
	untrack func()
}

// keyStore is a store of keys without a database.
type keyStore struct {
	keyring.Store // the rest is not called
	set           keyring.Set
}

func (s *keyStore) KeySet(context.Context) (keyring.Set, error) { return s.set, nil }

func (s *keyStore) KeyVersion(context.Context) (int64, error) { return s.set.Version, nil }

func (s *keyStore) AddFirstKey(_ context.Context, rec keyring.Record) ([]keyring.Record, error) {
	s.set = keyring.Set{Version: 1, Records: []keyring.Record{rec}}
	return s.set.Records, nil
}

func (s *keyStore) AdvanceKeys(_ context.Context, step keyring.Step, _ time.Time) (keyring.Set, bool, error) {
	s.take(step)
	return s.set, true, nil
}

func (s *keyStore) take(step keyring.Step) {
	records := slices.DeleteFunc(slices.Clone(s.set.Records), func(rec keyring.Record) bool {
		return slices.Contains(step.Remove, rec.ID) ||
			slices.ContainsFunc(step.Put, func(put keyring.Record) bool { return put.ID == rec.ID })
	})
	s.set = keyring.Set{Version: s.set.Version + 1, Records: append(records, step.Put...)}
}

func (w *watched) generated(t *testing.T) *generated {
	t.Helper()
	secret, _, err := keyring.NewSecretRing()
	if err != nil {
		t.Fatal(err)
	}
	app, untrack := w.configuration(t)
	g := &generated{App: app, store: new(keyStore), untrack: untrack}
	keeper := &keyring.Keeper{
		Store:     g.store,
		Lifecycle: keyring.Lifecycle{Secret: secret, Announce: time.Minute, Access: 15 * time.Minute},
		Changed: func(ring *keyring.Ring) {
			app.keys.ring.Store(ring)
			w.Nudge()
		},
	}
	app.keys.keeper.Store(keeper)
	if err := keeper.Open(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return g
}

// takes changes the keys as another node does, and lets this one learn of it.
func (g *generated) takes(t *testing.T, plan func(keyring.Set, time.Time) (keyring.Step, error)) {
	t.Helper()
	step, err := plan(g.store.set, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g.store.take(step)
	if err := g.keys.keeper.Load().Refresh(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func (g *generated) revokes(kid string) func(keyring.Set, time.Time) (keyring.Step, error) {
	return func(set keyring.Set, now time.Time) (keyring.Step, error) {
		return g.keys.keeper.Load().Lifecycle.Revoke(set, kid, now)
	}
}

// rotates announces a key and lets it sign a minute later.
func (g *generated) rotates(t *testing.T) {
	t.Helper()
	g.takes(t, g.keys.keeper.Load().Lifecycle.Rotate)
	time.Sleep(time.Minute)
	g.takes(t, func(set keyring.Set, now time.Time) (keyring.Step, error) {
		return g.keys.keeper.Load().Lifecycle.Due(set, now, now)
	})
}

// keyed begins a stream with a token that a key has signed and that lives for 15 minutes; family ""
// is none, and another a session's.
func (w *watched) keyed(t *testing.T, key *keyring.Key, issuer, family string) *watchedStream {
	t.Helper()
	return w.graced(t, key, issuer, family, 0)
}

// graced is keyed for a stream that may outlive its token.
func (w *watched) graced(t *testing.T, key *keyring.Key, issuer, family string, grace time.Duration) *watchedStream {
	t.Helper()
	ring, err := keyring.NewRing([]*keyring.Key{key}, "")
	if err != nil {
		t.Fatal(err)
	}
	signed := w.app(issuer)
	signed.keys.ring.Store(ring)
	verifier, err := token.NewVerifier(
		[]token.Issuer{{Name: issuer, Own: issuer == keyedIssuer, Keys: signed.keys.Key}},
	)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	raw, err := token.Mint(key, "at+jwt", token.Claims{
		Issuer:   issuer,
		Subject:  "alice",
		Audience: []string{"web"},
		ID:       key.ID() + family,
		Session:  family,
		IssuedAt: now,
		Expiry:   now.Add(15 * time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	verified, err := verifier.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	st := w.stream(verified, grace)
	synctest.Wait()
	return st
}

// family makes a session that lives for a day.
func (w *watched) family(id string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.families[id] = session.Grant{IdleEnds: w.began.Add(day), Ends: w.began.Add(day)}
	return id
}

func hmacKey(t *testing.T, kid string) *keyring.Key {
	t.Helper()
	key, err := keyring.ParseSecretText(kid, strings.Repeat(kid[:1], 32), "HS256")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// goesOn and over say whether a stream has ended by now, and why.
func goesOn(t *testing.T, what string, all ...*watchedStream) {
	t.Helper()
	synctest.Wait()
	for _, st := range all {
		if st.handler.Err() != nil {
			st.answer.Leave(httptest.NewRecorder())
			t.Errorf("%s: a stream ended: %s", what, st.ended)
		}
	}
}

func over(t *testing.T, what string, reason token.Reason, all ...*watchedStream) {
	t.Helper()
	synctest.Wait()
	for _, st := range all {
		told := st.handler.Err() != nil
		if st.answer.Leave(httptest.NewRecorder()); !told || st.ended != reason {
			t.Errorf("%s: a stream has not ended for %s: %q", what, reason, st.ended)
		}
	}
}

// reference is an opaque token, which no key has signed.
func (w *watched) reference(t *testing.T) *token.Token {
	t.Helper()
	claims, err := token.EncodeClaims(token.Claims{
		Issuer:   keyedIssuer,
		Subject:  "alice",
		Audience: []string{"web"},
		IssuedAt: w.began,
		Expiry:   w.began.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := token.FromClaims(token.Issuer{Name: keyedIssuer}, "at_reference", claims)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// What a key has let in goes with the key when it is revoked, at once and sessions included:
// whoever has the key could have named any session.
func TestStreamEndsWhenItsKeyIsRevoked(t *testing.T) {
	inTime(t, func(t *testing.T, w *watched) {
		g := w.generated(t)
		first := g.keys.ring.Load().Active()
		plain, browser := w.keyed(t, first, keyedIssuer, ""), w.keyed(t, first, keyedIssuer, w.family("f"))
		opaque := w.stream(w.reference(t), 0)
		time.Sleep(time.Minute)
		g.rotates(t)
		later := w.keyed(t, g.keys.ring.Load().Active(), keyedIssuer, "")
		goesOn(t, "rotated", plain, browser, later, opaque)
		g.takes(t, g.revokes(first.ID()))
		over(t, "revoked", token.UnknownKey, plain, browser)
		over(t, "revoked before it began", token.UnknownKey, w.keyed(t, first, keyedIssuer, ""))
		goesOn(t, "of other keys", later, opaque)
		g.takes(t, g.revokes(later.token.Key.ID()))
		over(t, "the active key revoked", token.UnknownKey, later)
	})
}

// What lives longer than its token, a session's stream or one with grace, does not end with a key
// that nobody needs any more, whichever node is the first to take it away; before that it does.
func TestStreamOutlivesAKeyThatHasRetired(t *testing.T) {
	for _, c := range []struct {
		name  string
		early time.Duration // before its time the key goes
		away  bool          // from before that until after it, a new configuration cannot reach the store
		ends  bool
	}{
		{"in time", 0, false, false}, {"by another node's clock", 50 * time.Second, false, false},
		{"unseen", 0, true, false}, {"revoked", 2 * time.Minute, false, true},
		{"revoked unseen", 2 * time.Minute, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inTime(t, func(t *testing.T, w *watched) {
				g := w.generated(t)
				first := g.keys.ring.Load().Active()
				browser, grace := w.keyed(
					t,
					first,
					keyedIssuer,
					w.family("f"),
				), w.graced(
					t,
					first,
					keyedIssuer,
					"",
					time.Hour,
				)
				g.rotates(t)
				back := func() {}
				if c.away {
					_, untrack := w.configuration(t)
					g.untrack()
					w.denied.Add(
						revocation.Denial{Kind: revocation.TokenKind, ID: "another", Until: time.Now().Add(time.Hour)},
					) // so that all are looked at
					back = func() { w.Track(g.App.keys); untrack() }
				}
				time.Sleep(time.Until(g.store.set.Find(first.ID()).Until.Add(-c.early)))
				if c.early > 0 {
					g.takes(t, g.revokes(first.ID()))
				} else {
					g.takes(t, func(set keyring.Set, now time.Time) (keyring.Step, error) {
						return g.keys.keeper.Load().Lifecycle.Due(set, now, now)
					})
				}
				if g.keys.ring.Load().Key(first.ID()) != nil {
					t.Fatal("the key is still there")
				}
				back()
				if c.ends {
					over(t, "then", token.UnknownKey, browser, grace)
					return
				}
				time.Sleep(time.Minute)
				goesOn(t, "then", browser, grace)
			})
		})
	}
}

// A configuration takes a key away when it has taken over, and not when it is refused; where none
// is left nothing is known of keys.
func TestStreamEndsWithTheLastConfigurationThatHasItsKey(t *testing.T) {
	inTime(t, func(t *testing.T, w *watched) {
		a, b := hmacKey(t, "a"), hmacKey(t, "b")
		_, untrackFirst := w.configuration(t, a)
		st, other := w.keyed(t, a, keyedIssuer, w.family("f")), w.keyed(t, a, keyedIssuer, "")
		_, untrackRefused := w.configuration(t, b)
		time.Sleep(2 * time.Second)
		goesOn(t, "while both are there", st, other)
		untrackRefused()
		goesOn(t, "when the new one was refused", st, other)
		_, untrackSame := w.configuration(t, b, a)
		untrackFirst()
		goesOn(t, "when the new one has the key", st, other)
		untrackSame()
		goesOn(t, "when there is none", st, other)
		app, _ := w.configuration(t)
		goesOn(t, "when its keys are not known yet", st, other)
		_, untrackThird := w.configuration(t, a)
		ring, err := keyring.NewRing([]*keyring.Key{b}, "")
		if err != nil {
			t.Fatal(err)
		}
		app.keys.ring.Store(ring)
		time.Sleep(2 * time.Second)
		goesOn(t, "while another has it", st, other)
		untrackThird()
		over(t, "when the new one has not", token.UnknownKey, st, other)
	})
}

func TestStreamEndsWhenItsIssuerIsUnknown(t *testing.T) {
	inTime(t, func(t *testing.T, w *watched) {
		key := hmacKey(t, "a")
		app, untrack := w.configuration(t, key)
		st := w.keyed(t, key, keyedIssuer, "")
		renamed := w.app("https://other.example.com")
		renamed.keys.ring.Store(app.keys.ring.Load())
		w.Track(renamed.keys)
		untrack()
		over(t, "renamed", token.UnknownIssuer, st)
	})
}

// foreignSet is what a trusted issuer publishes.
type foreignSet struct{ ring atomic.Pointer[keyring.Ring] }

// RoundTrip answers with the set.
func (p *foreignSet) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(bytes.NewReader(p.ring.Load().JWKS())),
		Request:    r,
	}, nil
}

func (p *foreignSet) publishes(t *testing.T, keys ...*keyring.Key) {
	t.Helper()
	ring, err := keyring.NewRing(keys, "")
	if err != nil {
		t.Fatal(err)
	}
	p.ring.Store(ring)
}

// A trusted issuer's key counts as long as the token: the set is fetched again and again, and what
// has left it ends what it had let in.
func TestStreamEndsWhenAForeignKeyHasLeft(t *testing.T) {
	inTime(t, func(t *testing.T, w *watched) {
		const issuer = "https://idp.example.com"
		var pair [2]*keyring.Key
		for i := range pair {
			var err error
			if pair[i], err = keyring.Generate("ES256", time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		set := new(foreignSet)
		set.publishes(t, pair[0], pair[1])
		remote := &pooledRemote{
			Remote: &keyring.Remote{Issuer: issuer, JWKSURL: issuer + "/keys", Transport: set},
			ctx:    w.Context,
		}
		app := w.app(keyedIssuer)
		app.keys.remotes = []*pooledRemote{remote}
		app.keys.ring.Store(new(keyring.Ring))
		w.Track(app.keys)
		early := w.graced(t, pair[0], issuer, "", time.Hour)
		if goesOn(t, "before the first set", early); !time.Now().Equal(w.began) {
			t.Error("it was waited for")
		}
		remote.start()
		time.Sleep(12 * time.Minute) // the next fetch was due
		goesOn(t, "published", early)
		leaves, stays := w.keyed(t, pair[0], issuer, ""), w.keyed(t, pair[1], issuer, "")
		time.Sleep(4 * time.Minute)
		set.publishes(t, pair[1])
		time.Sleep(8 * time.Minute)
		over(t, "it has left", token.UnknownKey, leaves)
		goesOn(t, "of the other key, and after its token", stays, early)
	})
}
