package sqlstore

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

var dawn = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// keyNode is one node's keys, on a connection to the store of its own.
type keyNode struct {
	*keyring.Keeper
	store keyring.Store
}

// keyNodes are nodes with one secret on one database. A node's keys are a month active and an hour
// announced.
func keyNodes(t *testing.T, n int) []*keyNode {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auth.db")
	return keyNodesOn(t, n, func() *Store { return openAt(t, path) })
}

// keyNodesOn are nodes that each open the store.
func keyNodesOn(t *testing.T, n int, open func() *Store) []*keyNode {
	t.Helper()
	secret, _, err := keyring.NewSecretRing()
	if err != nil {
		t.Fatal(err)
	}
	nodes := make([]*keyNode, n)
	for i := range nodes {
		store := open()
		node := &keyNode{store: store}
		node.Keeper = &keyring.Keeper{
			Store: store,
			Lifecycle: keyring.Lifecycle{
				Secret:   secret,
				Every:    30 * day,
				Announce: time.Hour,
				Access:   15 * time.Minute,
			},
		}
		nodes[i] = node
	}
	together(t, nodes, func(node *keyNode) error { return node.Open(t.Context(), dawn) })
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
		together(t, nodes, func(node *keyNode) error { return node.Update(t.Context(), now) })
	}
}

// agree demands that the nodes know the same keys in these states, and returns their ids.
func agree(t *testing.T, nodes []*keyNode, states string) []string {
	t.Helper()
	var ids []string
	for i, node := range nodes {
		var known, own []string
		for _, info := range node.Infos() {
			known, own = append(known, string(info.State)), append(own, info.ID)
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
		for _, key := range node.Ring().Keys() {
			if !slices.Contains(ids, key.ID()) {
				t.Fatalf("the ring of node %d holds %s", i, key.ID())
			}
		}
	}
	return ids
}

func TestThreeKeepersRotateOnce(t *testing.T) {
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
			if got := node.Ring().Active().ID(); got != ids[1] {
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
		if err := ahead.Update(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		for i, signer := range nodes {
			key, err := signer.SigningKey(t.Context(), 15*time.Minute, now)
			if err != nil {
				t.Fatal(err)
			}
			for j, other := range nodes {
				if other.Ring().Key(key.ID()) == nil {
					t.Errorf("node %d does not know the key that node %d signs with", j, i)
				}
			}
		}
	}
}

func TestOrderedRotationsAtOnceAreOne(t *testing.T) {
	nodes := keyNodes(t, 3)
	many := slices.Repeat(nodes, 10)
	together(t, many, func(node *keyNode) error { return node.Rotate(t.Context(), dawn.Add(time.Hour)) })
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
				if err := nodes[2].Rotate(t.Context(), now); err != nil {
					t.Fatal(err)
				}
				tended(t, nodes, now)
			}
			known := nodes[0].Infos()
			if err := nodes[1].Revoke(t.Context(), known[0].ID, now); err != nil {
				t.Fatal(err)
			}
			agree(t, nodes[1:2], "active") // at once where it was ordered
			tended(t, nodes, now)
			ids := agree(t, nodes, "active")
			if ids[0] == known[0].ID || c.announced && ids[0] != known[1].ID {
				t.Errorf("the keys %v became %q", known, ids)
			}
			if err := nodes[0].Revoke(t.Context(), known[0].ID, now); !errors.Is(err, keyring.ErrUnknownKey) {
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
		_, err := node.SigningKey(t.Context(), 7*day, now)
		return err
	})
	if err := nodes[2].Rotate(t.Context(), now); err != nil {
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

// unreachableKeys is a store that fails when it is told to.
type unreachableKeys struct {
	keyring.Store
	down bool
}

var errDown = errors.New("no route to the store")

func (u *unreachableKeys) KeyVersion(ctx context.Context) (int64, error) {
	if u.down {
		return 0, errDown
	}
	return u.Store.KeyVersion(ctx)
}

func TestStoreOutOfReachKeepsTheKeysButNoneThatIsOver(t *testing.T) {
	nodes := keyNodes(t, 1)
	node := nodes[0]
	store := &unreachableKeys{Store: node.store}
	node.Keeper.Store = store
	now := dawn.Add(30 * day)
	tended(t, nodes, now)
	now = now.Add(time.Hour)
	tended(t, nodes, now)
	ids := agree(t, nodes, "retiring active")

	store.down = true
	look := func(after time.Duration) {
		t.Helper()
		if err := node.Update(t.Context(), now.Add(after)); !errors.Is(err, errDown) {
			t.Fatalf("updating without the store: %v", err)
		}
	}
	look(15 * time.Minute)
	if ring := node.Ring(); ring.Key(ids[0]) == nil || ring.Active() == nil {
		t.Fatal("keys were lost with the store")
	}
	if _, err := node.SigningKey(t.Context(), 15*time.Minute, now); err != nil {
		t.Errorf("signing what is covered: %v", err)
	}
	if _, err := node.SigningKey(t.Context(), time.Hour, now); !errors.Is(err, errDown) {
		t.Errorf("signing what is not covered: %v", err)
	}
	look(15*time.Minute + keyring.RetireMargin)
	if ring := node.Ring(); ring.Key(ids[0]) != nil || ring.Active() == nil {
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
	nodes[0].Lifecycle.Secret = other // the new key is sealed with it; the old one it could open before
	if err := nodes[0].Rotate(t.Context(), dawn); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as long as it is so
		if err := nodes[1].Update(t.Context(), dawn); !errors.Is(err, keyring.ErrWrongSecret) {
			t.Fatalf("updating: %v", err)
		}
	}
	if ring := nodes[1].Ring(); ring.Active() == nil || len(ring.Keys()) != 1 {
		t.Errorf("the ring holds %v", ring.Keys())
	}
	if got := len(nodes[1].Infos()); got != 2 {
		t.Errorf("%d keys are listed, want 2", got)
	}
}

func TestLoopEndsWithItsConfiguration(t *testing.T) {
	node := keyNodes(t, 1)[0]
	ctx, cancel := context.WithCancel(t.Context())
	ended, turn := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		defer close(ended)
		node.Run(ctx, func() <-chan struct{} { return turn })
	}()
	turn <- struct{}{}
	cancel()
	<-ended
}

// idTokenNodes are two nodes with configured keys, so that only keys for ID tokens are generated.
func idTokenNodes(t *testing.T, open func() *Store) []*keyNode {
	t.Helper()
	secret, _, err := keyring.NewSecretRing()
	if err != nil {
		t.Fatal(err)
	}
	configured, err := keyring.ParseSecrets("env:"+strings.Repeat("QUJD", 11), "")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.NewRing(configured, "")
	if err != nil {
		t.Fatal(err)
	}
	nodes := make([]*keyNode, 2)
	for i := range nodes {
		store := open()
		nodes[i] = &keyNode{store: store, Keeper: &keyring.Keeper{
			Store: store,
			Lifecycle: keyring.Lifecycle{
				Secret:   secret,
				Every:    30 * day,
				Announce: time.Hour,
				Access:   15 * time.Minute,
			},
			Configured: ring,
			IDTokens:   time.Hour,
		}}
	}
	together(t, nodes, func(node *keyNode) error { return node.Open(t.Context(), dawn) })
	return nodes
}

// TestNodesMakeOneKeyForIDTokens lets two nodes need the same keys at once, as requests and as the
// work of a start do: one of each algorithm is made, and all get it.
func TestNodesMakeOneKeyForIDTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := idTokenNodes(t, open)
		if infos := nodes[0].Infos(); len(infos) != 1 || infos[0].ID != "env" {
			t.Fatalf("before one is needed: %+v", infos)
		}
		nodes[1].Want("RS256")
		var asked []string
		for range 3 {
			asked = append(asked, keyring.IDTokenAlgorithms()...)
		}
		together(t, nodes, func(node *keyNode) error {
			var all sync.WaitGroup
			for _, algorithm := range asked {
				all.Go(func() {
					key, err := node.IDTokenKey(t.Context(), algorithm, time.Hour, dawn)
					if err != nil || key.Algorithm() != algorithm {
						t.Errorf("a key for %s: %v, %v", algorithm, key, err)
					}
				})
			}
			all.Wait()
			return node.Update(t.Context(), dawn)
		})
		together(t, nodes, func(node *keyNode) error { return node.Refresh(t.Context(), dawn) })
		for i, node := range nodes {
			infos := node.Infos()
			if len(infos) != 1+len(keyring.IDTokenAlgorithms()) || node.Ring().Active().ID() != "env" {
				t.Fatalf("node %d has %+v", i, infos)
			}
			for _, info := range infos[1:] {
				key := node.Ring().IDToken(info.Algorithm)
				if info.Purpose != keyring.IDTokens || key.ID() != info.ID ||
					!strings.Contains(string(node.Ring().JWKS()), info.ID) {
					t.Errorf("node %d: %+v; %v signs", i, info, key)
				}
			}
		}
	})
}

// TestKeysForIDTokensRotate: they are announced and retire like the others, by the lifetime of the
// ID tokens that they have signed.
func TestKeysForIDTokensRotate(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := idTokenNodes(t, open)
		nodes[0].Want("RS256")
		tended(t, nodes, dawn)
		agreeOn := func(states string) []keyring.Info {
			t.Helper()
			infos, other := nodes[0].Infos()[1:], nodes[1].Infos()[1:]
			var got []string
			for _, info := range infos {
				got = append(got, string(info.State))
			}
			if !slices.Equal(infos, other) || strings.Join(got, " ") != states {
				t.Fatalf("the nodes have %+v\nand %+v, want %s", infos, other, states)
			}
			return infos
		}
		first := agreeOn("active")[0].ID
		if _, err := nodes[1].IDTokenKey(t.Context(), "RS256", 2*time.Hour, dawn); err != nil {
			t.Fatal(err)
		}
		tended(t, nodes, dawn.Add(30*day-time.Hour))
		agreeOn("active announced")
		now := dawn.Add(30 * day)
		tended(t, nodes, now)
		second := agreeOn("retiring active")[1].ID
		for i, node := range nodes {
			if key := node.Ring().IDToken("RS256"); key.ID() != second || node.Ring().Key(first) == nil {
				t.Errorf("node %d signs with %v", i, key)
			}
		}
		tended(t, nodes, now.Add(2*time.Hour+keyring.RetireMargin-time.Second))
		agreeOn("retiring active")
		tended(t, nodes, now.Add(2*time.Hour+keyring.RetireMargin))
		agreeOn("active")

		if err := nodes[0].Revoke(t.Context(), second, now); err != nil {
			t.Fatal(err)
		}
		together(t, nodes, func(node *keyNode) error { return node.Refresh(t.Context(), now) })
		if third := agreeOn("active")[0].ID; third == second || nodes[1].Ring().Key(second) != nil {
			t.Error("the revoked key is still known")
		}
	})
}
