package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

var dawn = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// keyNode is one node's keys, on a connection to the store of its own.
type keyNode struct {
	*rotation
	store keyring.Store
	ring  atomic.Pointer[keyring.Ring]
}

// keyNodes are nodes with one secret on one database. A node's keys are a month active and an hour
// announced.
func keyNodes(t *testing.T, n int) []*keyNode {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auth.db")
	secret, _, err := keyring.NewSecretRing()
	if err != nil {
		t.Fatal(err)
	}
	nodes := make([]*keyNode, n)
	for i := range nodes {
		store, err := sqlstore.New(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		node := &keyNode{store: store}
		node.rotation = &rotation{store: store, ring: &node.ring, logger: zap.NewNop(),
			cycle: keyring.Lifecycle{Secret: secret, Every: 30 * day, Announce: time.Hour, Access: 15 * time.Minute}}
		nodes[i] = node
	}
	together(t, nodes, func(node *keyNode) error { return node.open(t.Context(), dawn) })
	return nodes
}

// together runs f for all nodes at once.
func together(t *testing.T, nodes []*keyNode, f func(*keyNode) error) {
	t.Helper()
	start := make(chan struct{})
	var all sync.WaitGroup
	for i, node := range nodes {
		all.Go(func() {
			<-start
			if err := f(node); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}
	close(start)
	all.Wait()
}

// tended lets all nodes look at once, and then once more to see what the others did.
func tended(t *testing.T, nodes []*keyNode, now time.Time) {
	t.Helper()
	for range 2 {
		together(t, nodes, func(node *keyNode) error { return node.tend(t.Context(), now) })
	}
}

// agree demands that the nodes know the same keys in these states, and returns their ids.
func agree(t *testing.T, nodes []*keyNode, states string) []string {
	t.Helper()
	var ids []string
	for i, node := range nodes {
		var known, own []string
		for _, info := range node.infos() {
			known, own = append(known, info.State), append(own, info.ID)
		}
		if got := strings.Join(known, " "); got != states {
			t.Fatalf("node %d has the keys %q, want %q", i, got, states)
		}
		if ids == nil {
			ids = own
		}
		if !slices.Equal(own, ids) {
			t.Fatalf("node %d has the keys %q, node 0 %q", i, own, ids)
		}
		for _, key := range node.ring.Load().Keys() {
			if !slices.Contains(ids, key.ID()) {
				t.Fatalf("the ring of node %d holds %s", i, key.ID())
			}
		}
	}
	return ids
}

func TestThreeNodesRotateOnce(t *testing.T) {
	nodes := keyNodes(t, 3)
	first := agree(t, nodes, "active")[0]
	now := dawn
	for round := range 5 {
		now = now.Add(30*day - time.Hour)
		tended(t, nodes, now)
		ids := agree(t, nodes, "active announced")
		now = now.Add(time.Hour)
		tended(t, nodes, now)
		if got := agree(t, nodes, "retiring active"); !slices.Equal(got, ids) || got[0] != first {
			t.Fatalf("round %d: the keys were %q and are %q", round, ids, got)
		}
		for i, node := range nodes {
			if got := node.ring.Load().Active().ID(); got != ids[1] {
				t.Fatalf("node %d signs with %s, want %s", i, got, ids[1])
			}
		}
		now = now.Add(15*time.Minute + keyring.RetireMargin)
		tended(t, nodes, now)
		first = agree(t, nodes, "active")[0]
		now = now.Add(-15*time.Minute - keyring.RetireMargin) // when it was activated
	}
}

// While a rotation goes on, each node accepts what any other signs, whichever has seen how much of
// it.
func TestEveryNodeKnowsTheKeyThatAnotherSignsWith(t *testing.T) {
	nodes := keyNodes(t, 3)
	now := dawn.Add(30*day - time.Hour)
	tended(t, nodes, now)
	now = now.Add(time.Hour)
	for _, ahead := range nodes { // one after the other learns that it is time
		if err := ahead.tend(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		for i, signer := range nodes {
			key, err := signer.signingKey(t.Context(), 15*time.Minute, now)
			if err != nil {
				t.Fatal(err)
			}
			for j, other := range nodes {
				if other.ring.Load().Key(key.ID()) == nil {
					t.Errorf("node %d does not know the key that node %d signs with", j, i)
				}
			}
		}
	}
}

func TestOrderedRotationsAtOnceAreOne(t *testing.T) {
	nodes := keyNodes(t, 3)
	many := slices.Repeat(nodes, 10)
	together(t, many,
		func(node *keyNode) error { return node.change(t.Context(), dawn.Add(time.Hour), node.cycle.Rotate) })
	tended(t, nodes, dawn.Add(time.Hour))
	agree(t, nodes, "active announced")
	tended(t, nodes, dawn.Add(2*time.Hour))
	agree(t, nodes, "retiring active")
}

func TestRevokedKeyIsGoneOnAllNodes(t *testing.T) {
	for _, c := range []struct {
		name      string
		announced bool
	}{{"announced successor", true}, {"no successor", false}} {
		t.Run(c.name, func(t *testing.T) {
			nodes := keyNodes(t, 3)
			now := dawn.Add(time.Hour)
			if c.announced {
				if err := nodes[2].change(t.Context(), now, nodes[2].cycle.Rotate); err != nil {
					t.Fatal(err)
				}
				tended(t, nodes, now)
			}
			known := nodes[0].infos()
			revoke := func(set keyring.Set, now time.Time) (keyring.Step, error) {
				return nodes[1].cycle.Revoke(set, known[0].ID, now)
			}
			if err := nodes[1].change(t.Context(), now, revoke); err != nil {
				t.Fatal(err)
			}
			agree(t, nodes[1:2], "active") // at once where it was ordered
			tended(t, nodes, now)
			ids := agree(t, nodes, "active")
			if ids[0] == known[0].ID || c.announced && ids[0] != known[1].ID {
				t.Errorf("the keys %v became %q", known, ids)
			}
			if err := nodes[0].change(t.Context(), now, revoke); !errors.Is(err, keyring.ErrUnknownKey) {
				t.Errorf("revoked again: %v", err)
			}
		})
	}
}

// A lifetime that is longer than all before is in the store before the first token of that lifetime
// is signed, whatever node rotates then.
func TestKeyVerifiesForAsLongAsTheLongestTokenThatWasAskedFor(t *testing.T) {
	nodes := keyNodes(t, 3)
	now := dawn.Add(time.Hour)
	together(t, slices.Repeat(nodes, 5), func(node *keyNode) error {
		_, err := node.signingKey(t.Context(), 7*day, now)
		return err
	})
	if err := nodes[2].change(t.Context(), now, nodes[2].cycle.Rotate); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	tended(t, nodes, now)
	agree(t, nodes, "retiring active")
	tended(t, nodes, now.Add(7*day))
	agree(t, nodes, "retiring active")
	tended(t, nodes, now.Add(7*day+keyring.RetireMargin))
	agree(t, nodes, "active")
}

// unreachable is a store that fails when it is told to.
type unreachable struct {
	keyring.Store
	down bool
}

var errDown = errors.New("no route to the store")

func (u *unreachable) KeyVersion(ctx context.Context) (int64, error) {
	if u.down {
		return 0, errDown
	}
	return u.Store.KeyVersion(ctx)
}

func TestStoreOutOfReachKeepsTheKeysButNoneThatIsOver(t *testing.T) {
	nodes := keyNodes(t, 1)
	node := nodes[0]
	store := &unreachable{Store: node.store}
	node.rotation.store = store
	now := dawn.Add(30 * day)
	tended(t, nodes, now)
	now = now.Add(time.Hour)
	tended(t, nodes, now)
	ids := agree(t, nodes, "retiring active")

	store.down = true
	look := func(after time.Duration) {
		t.Helper()
		if err := node.tend(t.Context(), now.Add(after)); !errors.Is(err, errDown) {
			t.Fatalf("tending without the store: %v", err)
		}
	}
	look(15 * time.Minute)
	if ring := node.ring.Load(); ring.Key(ids[0]) == nil || ring.Active() == nil {
		t.Fatal("keys were lost with the store")
	}
	if _, err := node.signingKey(t.Context(), 15*time.Minute, now); err != nil {
		t.Errorf("signing what is covered: %v", err)
	}
	if _, err := node.signingKey(t.Context(), time.Hour, now); !errors.Is(err, errDown) {
		t.Errorf("signing what is not covered: %v", err)
	}
	look(15*time.Minute + keyring.RetireMargin)
	if ring := node.ring.Load(); ring.Key(ids[0]) != nil || ring.Active() == nil {
		t.Fatal("a key whose time is over still verifies")
	}
	store.down = false
	tended(t, nodes, now.Add(time.Hour))
	agree(t, nodes, "active")
}

// A node whose `secret` lacks what another seals with goes on with what it can open, and says so.
func TestNodeWithAnotherSecretSaysSo(t *testing.T) {
	nodes := keyNodes(t, 2)
	other, _, err := keyring.NewSecretRing()
	if err != nil {
		t.Fatal(err)
	}
	nodes[0].cycle.Secret = other // the new key is sealed with it; the old one it could open before
	if err := nodes[0].change(t.Context(), dawn, nodes[0].cycle.Rotate); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as long as it is so
		if err := nodes[1].tend(t.Context(), dawn); !errors.Is(err, keyring.ErrWrongSecret) {
			t.Fatalf("tending: %v", err)
		}
	}
	if ring := nodes[1].ring.Load(); ring.Active() == nil || len(ring.Keys()) != 1 {
		t.Errorf("the ring holds %v", ring.Keys())
	}
	if got := len(nodes[1].infos()); got != 2 {
		t.Errorf("%d keys are listed, want 2", got)
	}
}

// startedApp is a configuration with generated keys, running.
func startedApp(t *testing.T) (*App, *AuthServer) {
	t.Helper()
	a, _ := provisioned(t, Settings{Issuer: "https://auth.example.com"}, JWTAuth{Audiences: []string{"api"}})
	if err := a.startAlone(); err != nil {
		t.Fatal(err)
	}
	return a, &AuthServer{app: a}
}

// minted signs a token of 15 minutes.
func minted(t *testing.T, a *App) string {
	t.Helper()
	now := time.Now()
	key, err := a.signingKey(t.Context(), 15*time.Minute, now)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := token.Mint(key, "at+jwt",
		token.Claims{Issuer: a.issuer, Subject: "alice", Audience: []string{"api"}, IssuedAt: now,
			Expiry: now.Add(15 * time.Minute), ID: "id", ClientID: "c", Project: "default"})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRevokedKeysTokensAreRefusedFromTheCacheToo(t *testing.T) {
	a, server := startedApp(t)
	raw := minted(t, a)
	for range 2 { // the second time from the cache
		if _, err := a.verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := a.rotateKeys(t.Context())
	// made within one second, perhaps
	slices.SortFunc(keys, func(a, b keyInfo) int { return strings.Compare(a.State, b.State) })
	if err != nil || len(keys) != 2 || keys[0].State != "active" || keys[1].State != "announced" ||
		keys[1].Until.Sub(keys[1].Since) != time.Hour {
		t.Fatalf("rotated: %+v, %v", keys, err)
	}
	if _, err := a.verify(t.Context(), raw); err != nil {
		t.Errorf("after a new key was announced: %v", err)
	}
	if set := published(t, server); !strings.Contains(set, keys[0].ID) || !strings.Contains(set, keys[1].ID) {
		t.Errorf("published: %s", set)
	}
	left, err := a.revokeKey(t.Context(), keys[0].ID)
	if err != nil || len(left) != 1 || left[0].ID != keys[1].ID || left[0].State != "active" {
		t.Fatalf("revoked: %+v, %v", left, err)
	}
	_, err = a.verify(t.Context(), raw)
	if refusal, ok := errors.AsType[*token.Refusal](err); !ok || refusal.Reason != token.UnknownKey {
		t.Errorf("a token of the revoked key: %v, want %s", err, token.UnknownKey)
	}
	if set := published(t, server); strings.Contains(set, keys[0].ID) {
		t.Errorf("published: %s", set)
	}
	if _, err := a.verify(t.Context(), minted(t, a)); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
	if _, err := a.revokeKey(t.Context(), "never there"); !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("revoking an unknown key: %v", err)
	}
}

func published(t *testing.T, s *AuthServer) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.jwks(w, httptest.NewRequestWithContext(t.Context(), "GET", "/jwks.json", nil))
	if got := w.Header().Get("Cache-Control"); w.Code != 200 || got != "public, max-age=300" {
		t.Errorf("the key set: status %d, Cache-Control %q", w.Code, got)
	}
	return w.Body.String()
}

// What another process does to the keys is learned from the store, without any order here.
func TestRunningNodeLearnsWhatAnotherRevoked(t *testing.T) {
	a, _ := startedApp(t)
	old := a.ring.Load().Active().ID()
	other, err := sqlstore.New("sqlite:" + filepath.Join(dataDir(), "auth.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	set, err := other.KeySet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	step, err := a.rotation.cycle.Revoke(set, old, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, taken, err := other.AdvanceKeys(t.Context(), step, time.Now()); err != nil || !taken {
		t.Fatal(taken, err)
	}
	revoked := time.Now()
	for look := time.NewTicker(time.Millisecond); a.ring.Load().Key(old) != nil; <-look.C {
		if time.Since(revoked) > 5*time.Second { // a second is promised; this machine may be busy
			t.Fatal("the revoked key is still in use")
		}
	}
	t.Logf("learned after %v", time.Since(revoked).Round(time.Millisecond))
}

func TestLoopEndsWithItsConfiguration(t *testing.T) {
	node := keyNodes(t, 1)[0]
	ctx, cancel := context.WithCancel(t.Context())
	ended, turn := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		defer close(ended)
		node.follow(ctx, func() <-chan struct{} { return turn })
	}()
	turn <- struct{}{}
	cancel()
	<-ended
}

func TestConfiguredKeysAreNotRotated(t *testing.T) {
	a, _ := provisioned(t, Settings{Issuer: "https://auth.example.com",
		Keys: &Keys{
			Texts: []SecretText{{ID: "k", Secret: strings.Repeat("s", 32)}, {ID: "l", Secret: strings.Repeat("t", 32)}},
		}}, JWTAuth{
		Audiences: []string{"api"},
	})
	keys, err := a.listKeys(t.Context())
	if want := []keyInfo{
		{ID: "k", Algorithm: "HS256", State: "active"}, {ID: "l", Algorithm: "HS256", State: "verifying"},
	}; err != nil || !slices.Equal(keys, want) {
		t.Errorf("listed: %+v, %v", keys, err)
	}
	_, rotated := a.rotateKeys(t.Context())
	_, revoked := a.revokeKey(t.Context(), "k")
	for _, err := range []error{rotated, revoked} {
		if !errors.Is(err, errConfiguredKeys) {
			t.Errorf("an order about configured keys: %v", err)
		}
	}
}

func TestKeySetIsKeptNoLongerThanHalfOfTheAnnouncement(t *testing.T) {
	hours := func(n float64) Duration { return Duration(n * float64(time.Hour)) }
	every, off := hours(0.5), Duration(0)
	for _, c := range []struct {
		keys              *Keys
		announce, expires time.Duration
	}{
		{nil, time.Hour, 5 * time.Minute},
		{&Keys{}, time.Hour, 5 * time.Minute},
		{&Keys{RotateEvery: &off}, time.Hour, 5 * time.Minute},
		{&Keys{RotateEvery: &every}, 15 * time.Minute, 5 * time.Minute},
		{&Keys{Announce: hours(24)}, 24 * time.Hour, 5 * time.Minute},
		{&Keys{Announce: Duration(5 * time.Minute)}, 5 * time.Minute, 150 * time.Second},
	} {
		t.Run(fmt.Sprint(c.announce), func(t *testing.T) {
			if c.keys.announce() != c.announce || c.keys.jwksMaxAge() != c.expires {
				t.Errorf("announced for %v, kept for %v; want %v and %v", c.keys.announce(), c.keys.jwksMaxAge(),
					c.announce, c.expires)
			}
		})
	}
}
