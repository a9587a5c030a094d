//go:build measure

package integration

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMeasureDatabaseFarAway prints the table of docs/operations.md. It is built only with the tag
// `measure`.
func TestMeasureDatabaseFarAway(t *testing.T) {
	const clients, lasts = 40, 10 * time.Second
	var options []string
	if text := os.Getenv("CADDYAUTH_MEASURE_OPTIONS"); text != "" {
		options = strings.Split(text, "&")
	}
	for _, trip := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond} {
		f := newFarNode(t, 0, options...)
		f.proxy.Delay(trip / 2)
		measure := func(what string, each func(client, n int) answer) {
			var got answers
			var all sync.WaitGroup
			for client := range clients { // connections are made, and statements prepared
				all.Go(func() { each(client, 0) })
			}
			all.Wait()
			end := time.Now().Add(lasts)
			for client := range clients {
				all.Go(func() {
					for n := 1; time.Now().Before(end); n++ {
						begun := time.Now()
						got.add(each(client, n).status, time.Since(begun))
					}
				})
			}
			all.Wait()
			t.Logf("%v %s: %.0f a second; %v", trip, what, float64(len(got.took[http.StatusOK]))/lasts.Seconds(), &got)
		}
		held := make([]string, clients)
		measure("sign-ins", func(client, n int) answer {
			// By turns, because each account has room for a hundred attempts from new addresses.
			refresh, a := f.signIn(t, (client+n)%farUsers, clients*n+client)
			if refresh != "" {
				held[client] = refresh
			}
			return a
		})
		measure("renewals", func(client, _ int) answer {
			refresh, a := f.renew(t, held[client])
			if refresh != "" {
				held[client] = refresh
			}
			return a
		})
		f.server.kill(t)
	}
}

// TestMeasureAgainst prints how long one client waits for a sign-in and a renewal at a far
// database, beside the server that CADDYAUTH_MEASURE_AGAINST names, in turn.
func TestMeasureAgainst(t *testing.T) {
	const rounds = 40
	other := os.Getenv("CADDYAUTH_MEASURE_AGAINST")
	if other == "" {
		t.Skip("CADDYAUTH_MEASURE_AGAINST names no server")
	}
	for _, trip := range []time.Duration{time.Millisecond, 20 * time.Millisecond} {
		nodes := []*farNode{newFarNodeOf(t, func() (string, error) { return other, nil }, 0), newFarNode(t, 0)}
		var signIns, renewals [2][]time.Duration
		for i, f := range nodes {
			for range 3 { // connections are made, and statements prepared
				refresh, _ := f.signIn(t, farUsers-1, 0)
				f.renew(t, refresh)
			}
			f.proxy.Delay(trip / 2)
			signIns[i], renewals[i] = make([]time.Duration, rounds), make([]time.Duration, rounds)
		}
		for round := range rounds {
			for i, f := range nodes {
				begun := time.Now()
				refresh, a := f.signIn(t, round, 1)
				signIns[i][round] = time.Since(begun)
				begun = time.Now()
				_, b := f.renew(t, refresh)
				renewals[i][round] = time.Since(begun)
				if a.status != http.StatusOK || b.status != http.StatusOK {
					t.Fatalf("status %d and %d", a.status, b.status)
				}
			}
		}
		for _, c := range []struct {
			what string
			took [2][]time.Duration
		}{{"sign-in", signIns}, {"renewal", renewals}} {
			before, after := median(c.took[0]), median(c.took[1])
			t.Logf("%v %s: %v, before %v: %.2f of it", trip, c.what, after, before, after.Seconds()/before.Seconds())
		}
		for _, f := range nodes {
			f.server.kill(t)
		}
	}
}

func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2].Round(100 * time.Microsecond)
}
