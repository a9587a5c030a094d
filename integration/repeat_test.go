package integration

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// TestClientsThatRepeatByThemselves: a connection is cut between a renewal and its answer. An HTTP
// client that finds a kept connection dead sends some requests again without a word to whoever uses
// it: Go's does so with GET. Then nobody but the server sees that an answer was lost, and without a
// reuse interval the session is over.
func TestClientsThatRepeatByThemselves(t *testing.T) {
	for _, c := range []struct {
		reuse, method string
		repeats       bool // the client does so by itself
		status        int
	}{
		{"0s", http.MethodGet, true, http.StatusUnauthorized},
		{"60s", http.MethodGet, true, http.StatusOK},
		{"0s", http.MethodPost, false, http.StatusUnauthorized},
		{"60s", http.MethodPost, false, http.StatusOK},
	} {
		t.Run(c.method+" "+c.reuse, func(t *testing.T) {
			g := newGateway(t)
			g.extra["Level"], g.extra["Reuse"] = "INFO", c.reuse
			g.secret("the sealing secret", goodSecret)
			server := g.startProcess(t, "server", crashAuth, nodeSite, "TEST_STORE=sqlite:"+g.dir+"/auth.db",
				"TEST_SECRET=seal:"+goodSecret)
			server.awaitReady(t)
			held, a := g.signInAt(t, "server", "10.5.0.1")
			if a.status != http.StatusOK {
				t.Fatalf("signing in: status %d, %s", a.status, a.body)
			}
			proxy := pgtest.NewProxy(t, g.addr("server"))
			client := &http.Client{Transport: &http.Transport{}}
			ask := func(c cookies, method string) (int, error) {
				req, err := http.NewRequest(method, "http://"+proxy.Addr()+"/", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Host = g.host("server")
				req.Header.Set("Cookie", c.lines()[0][len("Cookie: "):])
				req.Header.Set("Origin", g.url("server"))
				resp, err := client.Do(req)
				if err != nil {
					return 0, err
				}
				_, err = io.Copy(io.Discard, resp.Body) // or the connection would not be kept
				return resp.StatusCode, errors.Join(err, resp.Body.Close())
			}
			if status, err := ask(cookies{access: held.access}, http.MethodGet); status != http.StatusOK || err != nil {
				t.Fatalf("the first request: status %d, %v", status, err)
			}
			const way = 300 * time.Millisecond
			proxy.Delay(way)
			cut := time.AfterFunc(3*way/2, func() { // the answer is on its way
				proxy.Delay(0)
				proxy.Cut()
			})
			defer cut.Stop()
			status, err := ask(cookies{refresh: held.refresh}, c.method)
			if (err == nil) != c.repeats {
				t.Fatalf("status %d, %v", status, err)
			}
			if !c.repeats {
				status, err = ask(cookies{refresh: held.refresh}, c.method)
			}
			if status != c.status || err != nil {
				t.Errorf("status %d, %v; want %d", status, err, c.status)
			}
			if made := proxy.Accepted(); made != 2 {
				t.Errorf("%d connections were made, not 2", made)
			}
		})
	}
}
