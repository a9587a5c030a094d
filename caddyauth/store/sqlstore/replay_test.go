package sqlstore

import (
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/replay"
)

func useOf(id string, until time.Time) replay.Use {
	return replay.Use{Purpose: replay.ClientAssertion, Issuer: "reports", ID: id, Until: until}
}

// Of 200 uses at the same time on two nodes one succeeds, and after a restart none does.
func TestAnIDIsUsedOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open()}
		u := useOf("jti", noon.Add(time.Minute))
		var fresh, used atomic.Int64
		atOnce(200, func(i int) {
			switch err := nodes[i%2].UseOnce(t.Context(), u); {
			case err == nil:
				fresh.Add(1)
			case errors.Is(err, replay.ErrUsed):
				used.Add(1)
			default:
				t.Error(err)
			}
		})
		if fresh.Load() != 1 || used.Load() != 199 {
			t.Errorf("%d succeeded and %d were told that it was used; want 1 and 199", fresh.Load(), used.Load())
		}
		if err := open().UseOnce(t.Context(), u); !errors.Is(err, replay.ErrUsed) {
			t.Errorf("on a node that starts later: %v", err)
		}
		later := u
		later.Until = u.Until.Add(time.Hour)
		if err := nodes[0].UseOnce(t.Context(), later); !errors.Is(err, replay.ErrUsed) {
			t.Errorf("with another end: %v", err)
		}
		for _, other := range []replay.Use{
			{Purpose: replay.DPoP, Issuer: u.Issuer, ID: u.ID, Until: u.Until},
			{Purpose: u.Purpose, Issuer: "other", ID: u.ID, Until: u.Until},
			{Purpose: u.Purpose, Issuer: u.Issuer, ID: "other", Until: u.Until},
		} {
			if err := nodes[1].UseOnce(t.Context(), other); err != nil {
				t.Errorf("%+v: %v", other, err)
			}
		}
	})
}

func TestUsesAreDeletedAfterTheirEnd(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		for i := range 5 {
			must(t, s.UseOnce(t.Context(), useOf(strconv.Itoa(i), noon.Add(time.Duration(i)*time.Second))))
		}
		for _, c := range []struct {
			before  time.Time
			n, want int
		}{{noon, 10, 0}, {noon.Add(4 * time.Second), 3, 3}, {noon.Add(4 * time.Second), 3, 1}} {
			if n, err := s.DeleteUses(t.Context(), c.before, c.n); err != nil || n != c.want {
				t.Errorf("before %v, at most %d: deleted %d, %v; want %d", c.before, c.n, n, err, c.want)
			}
		}
		if err := s.UseOnce(t.Context(), useOf("4", noon)); !errors.Is(err, replay.ErrUsed) {
			t.Errorf("one that has just ended: %v", err)
		}
		must(t, s.UseOnce(t.Context(), useOf("3", noon)))
		s.Close()
		if err := s.UseOnce(t.Context(), useOf("new", noon)); !errors.Is(err, ErrUnavailable) {
			t.Errorf("without a store: %v", err)
		}
	})
}
