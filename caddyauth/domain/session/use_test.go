package session

import (
	"math/rand/v2"
	"testing"
	"time"
)

func liveGrant() Grant {
	return Grant{
		ID: "f", ClientID: "web", Created: noon, Rotated: noon, LastUsed: noon, IdleEnds: noon.Add(time.Hour),
		Ends: noon.Add(3 * time.Hour), Idle: time.Hour, Reuse: 10 * time.Second, AccessUntil: noon.Add(5 * time.Minute),
	}
}

func TestUse(t *testing.T) {
	rotated := liveGrant()
	rotated.Generation, rotated.Rotated = 4, noon
	with := func(change func(*Grant)) Grant {
		g := rotated
		change(&g)
		return g
	}
	for _, c := range []struct {
		name       string
		g          Grant
		generation int64
		at         time.Duration
		client     string
		want       Verdict
	}{
		{"current", rotated, 4, time.Minute, "web", Advanced},
		{"one before, inside", rotated, 3, 10*time.Second - 1, "web", Repeated},
		{"one before, at the edge", rotated, 3, 10 * time.Second, "web", Reused},
		{"one before, a clock that is behind", rotated, 3, -5 * time.Minute, "web", Repeated},
		{"one before, rotated by a clock that was ahead", rotated, 3, -5*time.Minute - 1, "web", Reused},
		{"two before, inside", rotated, 2, time.Second, "web", Reused},
		{"one before, no interval", with(func(g *Grant) { g.Reuse = 0 }), 3, 0, "web", Reused},
		{
			"one before, no interval, a clock behind", with(func(g *Grant) { g.Reuse = 0 }), 3, -time.Minute, "web",
			Reused,
		},
		{"from the future", rotated, 5, time.Second, "web", Future},
		{"other client, current", rotated, 4, time.Second, "api", OtherClient},
		{"other client, used up", rotated, 1, time.Second, "api", OtherClient},
		{"other client, no name", rotated, 4, time.Second, "", OtherClient},
		{"idle at the edge", rotated, 4, time.Hour, "web", Expired},
		{"idle, just before", rotated, 4, time.Hour - 1, "web", Advanced},
		{"absolute", with(func(g *Grant) { g.Ends = noon.Add(time.Minute) }), 4, time.Minute, "web", Expired},
		{"used up and expired", rotated, 1, time.Hour, "web", Expired},
		{"revoked", with(func(g *Grant) { g.Revoked = noon }), 4, time.Second, "web", Ended},
		{"revoked and used up", with(func(g *Grant) { g.Revoked = noon }), 1, time.Second, "web", Ended},
		{"fixed", with(func(g *Grant) { g.Fixed = true }), 4, time.Minute, "web", Kept},
		{"fixed, from the future", with(func(g *Grant) { g.Fixed = true }), 5, time.Minute, "web", Future},
	} {
		before := c.g
		after, got := c.g.Use(
			Rotation{Generation: c.generation, ClientID: c.client, AccessUntil: noon.Add(c.at + 5*time.Minute)},
			noon.Add(c.at),
		)
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		checkEffect(t, c.name, before, after, got, noon.Add(c.at))
	}
}

// checkEffect is what each verdict may change.
func checkEffect(t *testing.T, name string, before, after Grant, v Verdict, now time.Time) {
	t.Helper()
	bad := ""
	switch v {
	case Advanced:
		if after.Generation != before.Generation+1 || !after.Rotated.Equal(now) {
			bad = "did not move on"
		}
	case Kept:
		if after.Generation != before.Generation || !after.Rotated.Equal(before.Rotated) {
			bad = "moved on"
		}
	case Repeated:
		if after.Generation != before.Generation || !after.IdleEnds.Equal(before.IdleEnds) ||
			!after.Rotated.Equal(before.Rotated) {
			bad = "repeating changed more than it may"
		}
	case Reused:
		if !after.Revoked.Equal(now) || after.Generation != before.Generation ||
			!after.AccessUntil.Equal(before.AccessUntil) {
			bad = "did not end the family"
		}
	default:
		if after.Generation != before.Generation || !after.IdleEnds.Equal(before.IdleEnds) ||
			!after.Revoked.Equal(before.Revoked) ||
			!after.AccessUntil.Equal(before.AccessUntil) {
			bad = "a refusal changed something"
		}
	}
	if (v == Advanced || v == Kept) &&
		(after.IdleEnds.After(after.Ends) || !after.LastUsed.Equal(now) ||
			after.IdleEnds.Before(before.IdleEnds) && !now.Before(before.LastUsed)) {
		bad = "the idle end is wrong"
	}
	if v.Honoured() && after.AccessUntil.Before(before.AccessUntil) {
		bad = "AccessUntil went back"
	}
	if bad != "" {
		t.Errorf("%s (%s): %s: %+v became %+v", name, v, bad, before, after)
	}
}

// history knows a family by the tokens it gave out: which were used up when, and who holds the last
// one.
type history struct {
	usedUp []time.Time // by generation
	dead   bool
	end    time.Time
}

// want is the verdict by plain reasoning over the history.
func (h *history) want(generation int64, fixed bool, reuse time.Duration, now time.Time) Verdict {
	current := int64(len(h.usedUp))
	switch {
	case h.dead:
		return Ended
	case !now.Before(h.end):
		return Expired
	case generation > current:
		return Future
	case generation == current && fixed:
		return Kept
	case generation == current:
		return Advanced
	case generation == current-1 && now.Sub(h.usedUp[generation]) < reuse:
		return Repeated
	}
	return Reused
}

func TestUseAgainstItsHistory(t *testing.T) {
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 7))
		g := liveGrant()
		g.Reuse = []time.Duration{0, time.Millisecond, 10 * time.Second, time.Minute}[random.IntN(4)]
		g.Fixed = random.IntN(5) == 0
		h := history{end: g.IdleEnds}
		now := noon
		for step := range 40 {
			now = now.Add(
				[]time.Duration{
					0, time.Millisecond, time.Second, 9 * time.Second, 10 * time.Second, time.Minute, 20 * time.Minute,
				}[random.IntN(7)],
			)
			generation := max(0, g.Generation+[]int64{0, 0, 0, 0, -1, -1, -2, 1}[random.IntN(8)])
			want := h.want(generation, g.Fixed, g.Reuse, now)
			before := g
			var got Verdict
			if g, got = g.Use(Rotation{Generation: generation, ClientID: "web", AccessUntil: now.Add(5 * time.Minute)},
				now); got != want {
				t.Fatalf(
					"seed %d, step %d: generation %d of %+v at %v: %s, want %s",
					seed,
					step,
					generation,
					before,
					now,
					got,
					want,
				)
			}
			checkEffect(t, "random", before, g, got, now)
			switch got {
			case Advanced:
				h.usedUp = append(h.usedUp, now)
				h.end = earlier(now.Add(g.Idle), g.Ends)
			case Kept:
				h.end = earlier(now.Add(g.Idle), g.Ends)
			case Reused:
				h.dead = true
			}
		}
	}
}
