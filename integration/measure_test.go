//go:build measure

package integration

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMeasureDatabaseFarAway prints the table of docs/operations.md. It is built only with the tag `measure`.
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
			refresh, a := f.signIn(t, client, n)
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
