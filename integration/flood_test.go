package integration

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// TestMadeUpTokensLeaveTheDatabaseToOthers: the database is 50 ms away, and a crowd sends nothing
// but tokens that nobody has issued. Who signs in, and who is signed out elsewhere, must not
// notice.
func TestMadeUpTokensLeaveTheDatabaseToOthers(t *testing.T) {
	garbage := func(n int) string {
		bytes := make([]byte, n)
		rand.Read(bytes)
		return base64.RawURLEncoding.EncodeToString(bytes)
	}
	for _, c := range []struct {
		name string
		line func() string
	}{
		{"opaque tokens", func() string { return "Authorization: Bearer at_" + garbage(328) }},
		{"opaque tokens as they once were", func() string { return "Authorization: Bearer at_" + garbage(32) }},
		{"refresh tokens", func() string { return "Cookie: refresh_token=rt_k." + rand.Text() + ".0." + garbage(32) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			g.extra["Level"], g.extra["More"] = "ERROR", ""
			g.secret("the sealing secret", goodSecret)
			proxy, url := pgtest.Server(t).ProxyURL(t)
			proxy.Delay(25 * time.Millisecond)
			server := g.startProcess(t, "public", nodeAuth, nodeSite, "TEST_STORE="+url, "TEST_SECRET=seal:"+goodSecret)
			server.awaitReady(t)
			quiet := g.signInsTake(t, "10.8.0.")
			sent, stop := g.crowd(t, 100, c.line)
			took := g.signInsTake(t, "10.8.1.")
			stop()
			t.Logf("%d made-up tokens; the median sign-in took %v, and %v without them", sent.Load(), took, quiet)
			if sent.Load() < 100 {
				t.Errorf("only %d were sent", sent.Load())
			}
			if limit := 2*quiet + time.Second; took > limit {
				t.Errorf("signing in took %v, more than %v", took, limit)
			}
		})
	}
}

// signInsTake signs in five times and returns the median of what it took.
func (g *gateway) signInsTake(t *testing.T, network string) time.Duration {
	t.Helper()
	var took []time.Duration
	for i := range 5 {
		began := time.Now()
		if _, a := g.signInAt(t, "public", network+string(rune('1'+i))); a.status != http.StatusOK {
			t.Errorf("signing in: status %d, %s %v", a.status, a.body, a.broken)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// crowd sends requests over n connections at once until stop is called.
func (g *gateway) crowd(t *testing.T, n int, line func() string) (sent *atomic.Int64, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	sent = new(atomic.Int64)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}, Timeout: 30 * time.Second}
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url("public")+"/", nil)
				if err != nil {
					t.Error(err)
					return
				}
				name, value, _ := strings.Cut(line(), ": ")
				req.Header.Set(name, value)
				if resp, err := client.Do(req); err == nil {
					resp.Body.Close()
					sent.Add(1)
				}
				time.Sleep(100 * time.Millisecond) // the machine is not what is tested
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	return sent, func() {
		cancel()
		all.Wait()
		client.CloseIdleConnections()
	}
}
