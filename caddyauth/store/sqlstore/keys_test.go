package sqlstore

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// wholeKey has a value in every field.
func wholeKey(id string, state keyring.State) keyring.Record {
	rec := record(id, noon)
	rec.State, rec.Since, rec.Until, rec.Longest = state, noon.Add(time.Millisecond), noon.Add(time.Hour), 15*
		time.Minute
	return rec
}

func keySetOf(t *testing.T, s *Store) keyring.Set {
	t.Helper()
	set, err := s.KeySet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// advance takes a step, which must succeed.
func advance(t *testing.T, s *Store, step keyring.Step) keyring.Set {
	t.Helper()
	set, taken, err := s.AdvanceKeys(t.Context(), step, noon)
	if err != nil || !taken {
		t.Fatalf("AdvanceKeys = %v, %v", taken, err)
	}
	return set
}

func TestFirstKeyIsActiveAndChangesTheVersion(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		before := keySetOf(t, s)
		first := wholeKey("first", keyring.Announced)
		for range 2 {
			if _, err := s.AddFirstKey(t.Context(), first); err != nil {
				t.Fatal(err)
			}
		}
		after := keySetOf(t, s)
		first.State, first.Until = keyring.Active, time.Time{}
		same(t, after.Records, []keyring.Record{first})
		if version, err := s.KeyVersion(t.Context()); err != nil || version != after.Version ||
			version == before.Version {
			t.Errorf("the version went from %d to %d, KeyVersion = %d, %v", before.Version, after.Version, version, err)
		}
	})
}

func TestStepIsTakenWhole(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		if _, err := s.AddFirstKey(t.Context(), record("old", noon.Add(-time.Hour))); err != nil {
			t.Fatal(err)
		}
		announced := advance(t, s,
			keyring.Step{From: keySetOf(t, s).Version, Put: []keyring.Record{wholeKey("next", keyring.Announced)}})
		same(t, announced, keySetOf(t, s))

		old, next := announced.Records[0], announced.Records[1]
		old.State, old.Since, old.Until = keyring.Retiring, noon, noon.Add(time.Hour)
		next.State, next.Since, next.Until, next.Longest = keyring.Active, noon, time.Time{}, 24*time.Hour
		rotated := advance(t, s, keyring.Step{From: announced.Version, Put: []keyring.Record{old, next}})
		same(t, rotated.Records, []keyring.Record{old, next})

		gone := advance(t, s, keyring.Step{From: rotated.Version, Remove: []string{"old", "never there"}})
		same(t, gone.Records, []keyring.Record{next})
		same(t, gone, keySetOf(t, s))
	})
}

func TestStepFromAnOldVersionChangesNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		if _, err := s.AddFirstKey(t.Context(), record("first", noon)); err != nil {
			t.Fatal(err)
		}
		set := keySetOf(t, s)
		for _, from := range []int64{0, set.Version - 1, set.Version + 1} {
			step := keyring.Step{
				From:   from,
				Remove: []string{"first"},
				Put:    []keyring.Record{wholeKey("x", keyring.Active)},
			}
			standing, taken, err := s.AdvanceKeys(t.Context(), step, noon)
			if err != nil || taken {
				t.Fatalf("a step from %d of version %d: %v, %v", from, set.Version, taken, err)
			}
			same(t, standing, set)
		}
	})
}

// A second key that signs would be a mistake in a step: nothing of it is kept.
func TestTwoActiveKeysAreRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		if _, err := s.AddFirstKey(t.Context(), record("first", noon)); err != nil {
			t.Fatal(err)
		}
		set := keySetOf(t, s)
		step := keyring.Step{
			From: set.Version,
			Put:  []keyring.Record{wholeKey("retiring", keyring.Retiring), wholeKey("second", keyring.Active)},
		}
		if _, taken, err := s.AdvanceKeys(t.Context(), step, noon); err == nil || taken {
			t.Fatalf("AdvanceKeys = %v, %v", taken, err)
		}
		same(t, keySetOf(t, s), set)
	})
}

// Each purpose has an active key of its own; for ID tokens, each algorithm has.
func TestKeysOfEachPurposeAreApart(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		idToken := func(id, algorithm string) keyring.Record {
			rec := wholeKey(id, keyring.Active)
			rec.Purpose, rec.Algorithm, rec.Until = keyring.IDTokens, algorithm, time.Time{}
			return rec
		}
		first := idToken("rs", "RS256")
		advance(t, s, keyring.Step{From: keySetOf(t, s).Version, Put: []keyring.Record{first}})
		if standing, err := s.AddFirstKey(t.Context(), record("access", noon)); err != nil || len(standing) != 2 {
			t.Fatalf("AddFirstKey = %v, %v; a key for ID tokens is none for access tokens", standing, err)
		}
		second := idToken("es", "ES256")
		set := advance(t, s, keyring.Step{From: keySetOf(t, s).Version, Put: []keyring.Record{second}})
		same(t, []keyring.Record{*set.Find("rs"), *set.Find("es")}, []keyring.Record{first, second})
		for _, rec := range []keyring.Record{idToken("rs 2", "RS256"), wholeKey("access 2", keyring.Active)} {
			step := keyring.Step{From: set.Version, Put: []keyring.Record{rec}}
			if _, taken, err := s.AdvanceKeys(t.Context(), step, noon); err == nil || taken {
				t.Errorf("a second active key %s: %v, %v", rec.ID, taken, err)
			}
		}
		same(t, keySetOf(t, s), set)
	})
}

func TestHundredAdvancesAtOnceAreOneRotation(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open()}
		if _, err := nodes[0].AddFirstKey(t.Context(), record("first", noon.Add(-time.Hour))); err != nil {
			t.Fatal(err)
		}
		from := keySetOf(t, nodes[0])
		var won atomic.Int32
		var winner atomic.Pointer[keyring.Set]
		atOnce(100, func(i int) {
			old := from.Records[0]
			old.State, old.Until = keyring.Retiring, noon.Add(time.Hour)
			step := keyring.Step{
				From: from.Version,
				Put:  []keyring.Record{old, wholeKey(fmt.Sprint("key ", i), keyring.Active)},
			}
			set, taken, err := nodes[i%2].AdvanceKeys(t.Context(), step, noon)
			switch {
			case err != nil || len(set.Records) != 2:
				t.Errorf("AdvanceKeys = %v, %v", set, err)
			case taken:
				won.Add(1)
				winner.Store(&set)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("%d rotations, want 1", won.Load())
		}
		for _, node := range nodes {
			same(t, keySetOf(t, node), *winner.Load())
		}
	})
}

// The version follows the clock: a database that was set back does not come to a version that a
// node already knows.
func TestVersionIsNewAfterTheDatabaseWasSetBack(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		if _, err := s.AddFirstKey(t.Context(), record("first", noon)); err != nil {
			t.Fatal(err)
		}
		backup := keySetOf(t, s)
		known := advance(t, s,
			keyring.Step{From: backup.Version, Put: []keyring.Record{wholeKey("next", keyring.Announced)}})
		if err := s.write(t.Context(), func(t tx) error {
			_, err := t.exec(`UPDATE counter SET value = $1 WHERE name = 'keys'`, backup.Version)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		later, taken, err := s.AdvanceKeys(t.Context(), keyring.Step{From: backup.Version, Remove: []string{"next"}},
			noon.Add(time.Minute))
		if err != nil || !taken || later.Version <= known.Version {
			t.Fatalf("version %d after %d, %v, %v", later.Version, known.Version, taken, err)
		}
	})
}

func TestChangedKeysWakeTheNodes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		if _, err := s.AddFirstKey(t.Context(), record("first", noon)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for i, step := range []keyring.Step{
			{Put: []keyring.Record{wholeKey("next", keyring.Announced)}}, {Remove: []string{"next"}},
		} {
			for len(s.Wake()) > 0 {
				<-s.Wake()
			}
			step.From = keySetOf(t, s).Version
			advance(t, s, step)
			select {
			case <-s.Wake():
			case <-ctx.Done():
				t.Fatalf("step %d woke nobody", i)
			}
		}
	})
}

func TestKeySetOfAStoreThatIsNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s, err := New(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.OpenReadOnly(t.Context()); err != nil {
		t.Fatal(err)
	}
	if set := keySetOf(t, s); len(set.Records) != 0 {
		t.Errorf("a store without a file has the keys %v", set)
	}
}

// The whole life cycle by three nodes, each of which looks ten times at once and takes whatever it
// finds due.
func TestThreeNodesRotateOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open(), open()}
		secret, _, err := keyring.NewSecretRing()
		if err != nil {
			t.Fatal(err)
		}
		cycle := keyring.Lifecycle{Secret: secret, Every: 24 * time.Hour, Announce: time.Hour, Access: 15 * time.Minute}
		first, err := cycle.First(noon)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nodes[0].AddFirstKey(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		for _, look := range []struct {
			at     time.Duration
			states string
			steps  int32
		}{
			{23*time.Hour - time.Millisecond, "active", 0},
			{23 * time.Hour, "active announced", 1},
			{24*time.Hour - time.Millisecond, "active announced", 0},
			{24 * time.Hour, "retiring active", 1},
			{24*time.Hour + 21*time.Minute - time.Millisecond, "retiring active", 0},
			{24*time.Hour + 21*time.Minute, "active", 1},
		} {
			now := noon.Add(look.at)
			var steps atomic.Int32
			atOnce(30, func(i int) {
				set, err := nodes[i%3].KeySet(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				step, err := cycle.Due(set, now, now)
				if err != nil {
					t.Error(err)
				}
				if step.Empty() {
					return
				}
				if _, taken, err := nodes[i%3].AdvanceKeys(t.Context(), step, now); err != nil {
					t.Error(err)
				} else if taken {
					steps.Add(1)
				}
			})
			var states []string
			for _, rec := range keySetOf(t, nodes[0]).Records {
				states = append(states, string(rec.State))
			}
			if got := strings.Join(states, " "); got != look.states || steps.Load() != look.steps {
				t.Fatalf("after %v: the keys are %q after %d steps, want %q after %d", look.at, got, steps.Load(),
					look.states, look.steps)
			}
		}
	})
}
