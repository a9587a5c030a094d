package integration

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"
)

// kept are the requests that the store keeps until a person decides about them, of clients that anybody
// can be: status 201 or 200 with room, and 429 without.
var kept = []struct {
	name, target string
	good         int
	form         url.Values
	confidential url.Values // of a client that the operator gave a secret; nil: there is none here
}{
	{"pushed requests", "/par", http.StatusCreated, url.Values{
		"client_id": {"spa"}, "redirect_uri": {"http://127.0.0.1/cb"}, "response_type": {"code"},
		"code_challenge": {pkceChallenge}, "code_challenge_method": {"S256"},
	}, url.Values{
		"client_id": {"rp"}, "client_secret": {rpSecret}, "redirect_uri": {rpCallback}, "response_type": {"code"},
		"code_challenge": {pkceChallenge}, "code_challenge_method": {"S256"},
	}},
	{"requests of devices", "/device_authorization", http.StatusOK, url.Values{"client_id": {"tv"}}, nil},
}

// TestNobodyFillsTheStoreWithRequests: of an address 200 are kept at once and one more each second,
// also after a reload; requests that are refused anyhow do not count.
func TestNobodyFillsTheStoreWithRequests(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		for _, c := range kept {
			t.Run(c.name, func(t *testing.T) {
				send := func(form url.Values) answer {
					return x.ask(t, "auth", call{
						method: "POST", target: c.target, body: form.Encode(),
						lines: []string{"Content-Type: application/x-www-form-urlencoded"},
					})
				}
				bad := url.Values{"client_id": c.form["client_id"], "scope": {"unknown"}}
				for range 10 {
					if a := send(bad); a.status != http.StatusBadRequest {
						t.Fatalf("%d %s", a.status, a.body)
					}
				}
				var mu sync.Mutex
				counts := map[int]int{}
				began := time.Now()
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() {
						for range 26 {
							a := send(c.form)
							mu.Lock()
							counts[a.status]++
							mu.Unlock()
						}
					})
				}
				all.Wait()
				most := 200 + int(time.Since(began)/time.Second) + 1
				if good := counts[c.good]; good < 200 || good > most || good+counts[429] != 260 {
					t.Errorf("%v, want 200 to %d of %d", counts, most, c.good)
				}
				x.load(authorizeAuth, authorizeSites)
				a := send(c.form)
				for a.status == c.good && time.Since(began) < 30*time.Second { // one more each second
					a = send(c.form)
				}
				if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" ||
					errorWord(a) != "too_many_requests" {
					t.Errorf("after a reload: %d %v %s", a.status, a.header, a.body)
				}
				if c.confidential == nil {
					return
				}
				if a := send(c.confidential); a.status != c.good {
					t.Errorf("a client of the operator's: %d %s", a.status, a.body)
				}
			})
		}
	})
}
