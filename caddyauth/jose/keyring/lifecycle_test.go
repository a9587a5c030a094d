package keyring

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

var dawn = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

// life is a lifecycle with a set in memory, which takes every step.
type life struct {
	*testing.T
	Lifecycle
	set Set
	now time.Time
}

// born is a life with its first key: 30 days active, an hour announced, tokens of 15 minutes.
func born(t *testing.T) *life {
	t.Helper()
	secret, _, err := NewSecretRing()
	if err != nil {
		t.Fatal(err)
	}
	l := &life{
		T:         t,
		now:       dawn,
		Lifecycle: Lifecycle{Secret: secret, Every: 30 * day, Announce: time.Hour, Access: 15 * time.Minute},
	}
	first, err := l.First(l.now)
	if err != nil {
		t.Fatal(err)
	}
	l.set = Set{Version: 1, Records: []Record{first}}
	return l
}

const day = 24 * time.Hour

// take applies a step as a store does.
func (l *life) take(step Step, err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
	if step.From != l.set.Version {
		l.Fatalf("a step from version %d, the set has %d", step.From, l.set.Version)
	}
	if step.Empty() {
		return
	}
	l.set = Set{Version: l.set.Version + 1, Records: slices.Clone(l.set.Records)}
	l.set.Records = slices.DeleteFunc(l.set.Records, func(r Record) bool { return slices.Contains(step.Remove, r.ID) })
	for _, rec := range step.Put {
		if i := slices.IndexFunc(l.set.Records, func(r Record) bool { return r.ID == rec.ID }); i >= 0 {
			l.set.Records[i] = rec
			continue
		}
		l.set.Records = append(l.set.Records, rec)
	}
}

// pass lets time go by and does what is due.
func (l *life) pass(d time.Duration) {
	l.Helper()
	l.now = l.now.Add(d)
	l.take(l.Due(l.set, l.now, l.now))
}

// is demands the states of the keys, in the order of their making.
func (l *life) is(want string) {
	l.Helper()
	var states []string
	for _, rec := range l.set.Records {
		states = append(states, string(rec.State))
	}
	if got := strings.Join(states, " "); got != want {
		l.Fatalf("after %v the keys are %q, want %q", l.now.Sub(dawn), got, want)
	}
}

func (l *life) ring() *Ring {
	l.Helper()
	ring, err := l.Secret.Ring(l.set, l.now, nil, nil)
	if err != nil {
		l.Fatal(err)
	}
	return ring
}

func TestKeyIsAnnouncedActiveRetiringAndGone(t *testing.T) {
	l := born(t)
	first := l.set.Records[0].ID
	l.pass(0)
	l.is("active")
	l.pass(30*day - time.Hour - time.Second)
	l.is("active")

	l.pass(time.Second) // an hour before its time, the successor is published
	l.is("active announced")
	second := l.set.Records[1].ID
	if ring := l.ring(); ring.Active().ID() != first || !strings.Contains(string(ring.JWKS()), second) {
		t.Fatalf("%s signs; published: %s", ring.Active().ID(), ring.JWKS())
	}
	l.pass(time.Hour - time.Millisecond)
	l.is("active announced")

	l.pass(time.Millisecond)
	l.is("retiring active")
	if ring := l.ring(); ring.Active().ID() != second || ring.Key(first) == nil ||
		!strings.Contains(string(ring.JWKS()), first) {
		t.Fatalf("%s signs, the other verifies: %v", ring.Active().ID(), ring.Key(first) != nil)
	}
	l.pass(15*time.Minute + RetireMargin - time.Millisecond)
	l.is("retiring active")

	l.pass(time.Millisecond)
	l.is("active")
	if ring := l.ring(); ring.Key(first) != nil || ring.Active().ID() != second {
		t.Fatal("the first key is not gone")
	}
}

// A hundred rotations, looked at every minute by a node whose clock is fair, leave no trace and
// miss none.
func TestRotationsFollowEachOtherAtTheirPace(t *testing.T) {
	l := born(t)
	l.Every, l.Announce = 2*time.Hour, 30*time.Minute
	rotations, active := 0, l.inState(l.set, Active).ID
	for range 100 * 120 {
		l.pass(time.Minute)
		if len(l.set.Records) > 2 {
			t.Fatalf("%d keys after %v", len(l.set.Records), l.now.Sub(dawn))
		}
		if id := l.inState(l.set, Active).ID; id != active {
			rotations, active = rotations+1, id
		}
	}
	if rotations != 100 {
		t.Errorf("%d rotations in 200 hours, want 100", rotations)
	}
}

func TestServerThatWasOffAnnouncesBeforeItRotates(t *testing.T) {
	l := born(t)
	l.pass(365 * day)
	l.is("active announced")
	l.pass(time.Hour)
	l.is("retiring active")
	l.pass(365 * day) // the end of one and the announcement of the next are one step
	l.is("active announced")
}

func TestRotateOffIsOnlyByHand(t *testing.T) {
	l := born(t)
	l.Every = 0
	l.pass(3650 * day)
	l.is("active")
	for range 3 { // asked again, nothing more happens
		l.take(l.Rotate(l.set, l.now))
		l.is("active announced")
	}
	l.pass(time.Hour)
	l.is("retiring active")
}

func TestRetiringKeyOutlivesItsLongestToken(t *testing.T) {
	l := born(t)
	l.take(l.Cover(l.set, 10*time.Minute)) // covered by the usual lifetime
	if l.set.Version != 1 {
		t.Fatal("a covered lifetime changed the set")
	}
	l.take(l.Cover(l.set, 7*day+time.Second))
	if got := l.Longest(l.set); got != 7*day+time.Minute {
		t.Fatalf("the longest lifetime is %v", got)
	}
	l.pass(30*day - time.Hour)
	l.pass(time.Hour)
	l.is("retiring active")
	if got := l.Longest(l.set); got != 15*time.Minute {
		t.Errorf("the next key begins with %v", got)
	}
	if got, want := l.set.EndsAfter(l.now), l.now.Add(7*day+time.Minute+RetireMargin); !got.Equal(want) {
		t.Errorf("it ends at %v, want %v", got, want)
	}
	l.pass(7 * day)
	l.is("retiring active")
	l.pass(time.Minute + RetireMargin)
	l.is("active")
}

// The store may be out of reach when a key's time is over: no node goes on with it.
func TestRetiredKeyVerifiesNothingWhileItStillStands(t *testing.T) {
	l := born(t)
	first := l.set.Records[0].ID
	l.pass(30 * day)
	l.pass(time.Hour)
	ring, err := l.Secret.Ring(l.set, l.set.EndsAfter(l.now), nil, nil)
	if err != nil || ring.Key(first) != nil || ring.Active() == nil {
		t.Fatalf("%v, %v", ring.Key(first), err)
	}
}

func TestRevokedActiveKeyIsFollowedAtOnce(t *testing.T) {
	for _, c := range []struct {
		name      string
		announced bool
	}{{"by the announced one", true}, {"by a new one", false}} {
		t.Run(c.name, func(t *testing.T) {
			l := born(t)
			first, next := l.set.Records[0].ID, ""
			if c.announced {
				l.take(l.Rotate(l.set, l.now))
				next = l.set.Records[1].ID
			}
			l.take(l.Revoke(l.set, first, l.now))
			l.is("active")
			ring := l.ring()
			if ring.Key(first) != nil || strings.Contains(string(ring.JWKS()), first) {
				t.Error("the revoked key is still there")
			}
			if c.announced && ring.Active().ID() != next {
				t.Errorf("%s signs, not the announced %s", ring.Active().ID(), next)
			}
			if rec := l.set.Records[0]; !rec.Since.Equal(l.now) || !rec.Until.IsZero() || rec.Longest != l.Access {
				t.Errorf("the new active key is %+v", rec)
			}
		})
	}
}

func TestRevokingOthersLeavesTheActiveOne(t *testing.T) {
	l := born(t)
	l.take(l.Rotate(l.set, l.now))
	l.take(l.Revoke(l.set, l.set.Records[1].ID, l.now))
	l.is("active")
	l.take(l.Rotate(l.set, l.now))
	l.pass(time.Hour)
	l.is("retiring active")
	l.take(l.Revoke(l.set, l.set.Records[0].ID, l.now))
	l.is("active")
	if _, err := l.Revoke(l.set, "never there", l.now); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("revoking an unknown key: %v", err)
	}
}

func TestSetWithoutActiveKeyGetsOne(t *testing.T) {
	l := born(t)
	l.set.Records = nil
	l.pass(0)
	l.is("active")
	l.take(l.Rotate(l.set, l.now))
	l.set.Records = l.set.Records[1:]
	l.pass(0)
	l.is("active")
}

func TestReopenedKeyIsTheSameOne(t *testing.T) {
	l := born(t)
	old := l.ring()
	l.take(l.Rotate(l.set, l.now))
	ring, err := l.Secret.Ring(l.set, l.now, nil, old)
	if err != nil || ring.Key(old.Active().ID()) != old.Active() || len(ring.Keys()) != 2 {
		t.Fatalf("%v, %v", ring.Keys(), err)
	}
	// Other material under the same id is another key.
	rec, err := l.Secret.Seal(generated(t, "ES256"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := l.Secret.Open(rec)
	if err != nil {
		t.Fatal(err)
	}
	key.id = old.Active().ID()
	if rec, err = l.Secret.Seal(key); err != nil {
		t.Fatal(err)
	}
	rec.State = Active
	if ring, err = l.Secret.Ring(
		Set{Records: []Record{rec}},
		l.now,
		nil,
		old,
	); err != nil ||
		ring.Active() == old.Active() {
		t.Errorf("a replaced key was kept: %v", err)
	}
}

func generated(t *testing.T, algorithm string) *Key {
	t.Helper()
	k, err := Generate(algorithm, dawn)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A key that this node cannot open takes nothing else away, and the ones that are gone still go.
func TestKeyOfAnotherSecretLeavesTheOthers(t *testing.T) {
	l := born(t)
	first := l.set.Records[0].ID
	foreign := born(t).set.Records[0]
	foreign.State = Announced
	ring, err := l.Secret.Ring(Set{Records: append(l.set.Records, foreign)}, l.now, nil, nil)
	if !errors.Is(err, ErrWrongSecret) || ring.Active().ID() != first || len(ring.Keys()) != 1 {
		t.Errorf("%v, %v", ring.Keys(), err)
	}
	foreign.State = Active
	l.set.Records[0].State = Retiring
	l.set.Records[0].Until = l.now.Add(time.Hour)
	ring, err = l.Secret.Ring(Set{Records: append(l.set.Records, foreign)}, l.now, nil, nil)
	if !errors.Is(err, ErrWrongSecret) || ring.Active() != nil || ring.Key(first) == nil {
		t.Errorf("the active one cannot be opened: %v, %v", ring.Active(), err)
	}
	ring, err = l.Secret.Ring(Set{Records: []Record{foreign}}, l.now, nil, nil)
	if !errors.Is(err, ErrWrongSecret) || ring.Active() != nil || string(ring.JWKS()) != `{"keys":[]}` {
		t.Errorf("nothing can be opened: %s, %v", ring.JWKS(), err)
	}
}

func TestAlgorithmCountsFromTheNextKeyOn(t *testing.T) {
	l := born(t)
	l.Algorithm = "EdDSA"
	l.take(l.Rotate(l.set, l.now))
	if ring := l.ring(); ring.Active().Algorithm() != "ES256" || ring.Keys()[1].Algorithm() != "EdDSA" {
		t.Errorf("the keys are %v", ring.Keys())
	}
	l.pass(time.Hour)
	if ring := l.ring(); ring.Active().Algorithm() != "EdDSA" {
		t.Errorf("%v signs", ring.Active())
	}
}
