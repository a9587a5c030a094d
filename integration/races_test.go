package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
)

// racers is how many requests are sent at once.
const racers = 200

func race(n int, do func(i int)) {
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			do(i)
		})
	}
	close(begin)
	wg.Wait()
}

// raced collects what requests that race have got.
type raced struct {
	mu      sync.Mutex
	answers []tokenAnswer
	good    atomic.Int64
	some    chan struct{} // closed after the tenth good answer
}

func newRaced() *raced { return &raced{some: make(chan struct{})} }

// add takes an answer: tokens, or the refusal of a grant. It reports whether it has tokens.
func (r *raced) add(t *testing.T, got tokenAnswer) bool {
	if got.status == http.StatusBadRequest && got.Error == "invalid_grant" {
		return false
	}
	if got.status != http.StatusOK || got.Access == "" {
		t.Errorf("%+v", got)
		return false
	}
	r.mu.Lock()
	r.answers = append(r.answers, got)
	r.mu.Unlock()
	if r.good.Add(1) == 10 {
		close(r.some)
	}
	return true
}

// awaitSome waits until ten were good, so that what ends them comes amid them.
func (r *raced) awaitSome(t *testing.T) {
	select {
	case <-r.some:
	case <-time.After(time.Minute):
		t.Error("nothing was issued")
	}
}

// nothingGood demands that no token works.
func (x *authorizing) nothingGood(t *testing.T, r *raced) {
	t.Helper()
	t.Logf("%d were good", len(r.answers))
	spent := map[string]bool{}
	for _, got := range r.answers {
		if a := x.get(t, "api", "/", got.Access); a.status != 401 || a.reason(t) != "revoked" {
			t.Errorf("an access token, at the gate: %d %s", a.status, a.reason(t))
		}
		if a := x.get(t, "auth", "/userinfo", got.Access); a.status != 401 {
			t.Errorf("an access token, at /userinfo: %d", a.status)
		}
		if got.Refresh == "" || spent[got.Refresh] {
			continue
		}
		spent[got.Refresh] = true
		if again := x.refresh(t, got.Refresh, ""); again.status != 400 || again.Error != "invalid_grant" {
			t.Errorf("a refresh token goes on: %+v", again)
		}
	}
}

// TestRaces sends 200 requests at once through the server. Whoever loses is refused in the words of
// the protocol.
func TestRaces(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword))
		for _, c := range []struct {
			name string
			run  func(t *testing.T, x *authorizing, v *visitor)
		}{
			{"one code", raceForOneCode},
			{"one code that is replayed", raceOfReplays},
			{"refreshes against their revocation", raceOfRevocation},
			{"a new password", raceOfNewPassword},
			{"one pushed request", raceForOnePushedRequest},
			{"sign-out against codes", raceOfSignOut},
		} {
			t.Run(c.name, func(t *testing.T) { c.run(t, x, v.in(t)) })
		}
	})
}

// raceForOneCode: one of them gets tokens, and the others end those.
func raceForOneCode(t *testing.T, x *authorizing, v *visitor) {
	code := v.code(v.get(request(t, "")))
	got := newRaced()
	race(racers, func(int) { got.add(t, x.exchange(t, code, "")) })
	if n := got.good.Load(); n != 1 {
		t.Fatalf("%d got tokens", n)
	}
	x.nothingGood(t, got)
}

// raceOfReplays: the code is presented again while what it bought is refreshed.
func raceOfReplays(t *testing.T, x *authorizing, v *visitor) {
	code := v.code(v.get(request(t, "")))
	first := x.exchange(t, code, "")
	got := newRaced()
	got.add(t, first)
	race(racers, func(i int) {
		if i%2 == 0 { // half of them come together with the replays
			got.awaitSome(t)
		}
		if i%4 > 0 {
			got.add(t, x.refresh(t, first.Refresh, ""))
			return
		}
		if again := x.exchange(t, code, ""); again.status != 400 || again.Error != "invalid_grant" {
			t.Errorf("the code again: %+v", again)
		}
	})
	x.nothingGood(t, got)
}

// raceOfRevocation: a refresh token is revoked by its client while it is used.
func raceOfRevocation(t *testing.T, x *authorizing, v *visitor) {
	first := x.exchange(t, v.code(v.get(request(t, ""))), "")
	got := newRaced()
	got.add(t, first)
	race(racers, func(i int) {
		if i%2 == 0 { // half of them come together with the revocation
			got.awaitSome(t)
		}
		if i != racers/2 {
			got.add(t, x.refresh(t, first.Refresh, ""))
			return
		}
		form := url.Values{"token": {first.Refresh}, "client_id": {"rp"}, "client_secret": {rpSecret}}
		if a := x.ask(t, "auth", call{
			method: "POST", target: "/revoke", lines: []string{"Content-Type: application/x-www-form-urlencoded"},
			body: form.Encode(),
		}); a.status != 200 {
			t.Errorf("revoking: %d %s", a.status, a.body)
		}
	})
	x.nothingGood(t, got)
}

// raceOfNewPassword: the password of a person is changed through the API while their sessions are
// refreshed, their codes redeemed, new ones issued, and somebody signs in with the old password.
func raceOfNewPassword(t *testing.T, x *authorizing, _ *visitor) {
	const password = "correct-horse-battery-staple"
	bearer := x.addAPITokenTo(t, x.storeURL, "", []string{apitoken.Admin}, false)
	x.secret("dave's password", password)
	made := x.manage(t, "POST", "/api/users", bearer,
		encode(t, map[string]string{"name": "dave", "password": password}))
	if made.status != http.StatusCreated {
		t.Fatalf("%d %s", made.status, made.body)
	}
	v := x.visitor(t)
	first := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "dave", password)), "")
	codes := make([]string, racers)
	for i := range codes {
		codes[i] = v.code(v.get(request(t, fmt.Sprint("state=", i))))
	}
	got := newRaced()
	got.add(t, first)
	race(racers, func(i int) {
		if i%2 == 0 { // half of them come together with the change
			got.awaitSome(t)
		}
		switch {
		case i == racers/2:
			x.setPassword(t, bearer, userID(t, made.body), password+"-2")
		case i%100 == 1:
			if s, a := x.apiLogin(t, "default", "dave", password, "api"); a.status == http.StatusOK {
				got.add(t, tokenAnswer{status: a.status, Access: s.Access})
			} else if a.status != http.StatusUnauthorized && a.status != http.StatusServiceUnavailable {
				t.Errorf("signing in: %d %s", a.status, a.body)
			}
		case i%3 == 0:
			got.add(t, x.refresh(t, first.Refresh, ""))
		case i%3 == 1:
			got.add(t, x.exchange(t, codes[i], ""))
		default:
			p := v.get(request(t, "prompt=none"))
			if code := p.location.Query().Get("code"); code != "" {
				codes[i] = code // presented below
			} else if p.location.Query().Get("error") != "login_required" {
				t.Errorf("authorizing: %d to %v: %s", p.status, p.location, p.body)
			}
		}
	})
	x.nothingGood(t, got)
	for _, code := range codes {
		if late := x.exchange(t, code, ""); late.status != 400 || late.Error != "invalid_grant" {
			t.Errorf("a code of before: %+v", late)
		}
	}
	if p := v.get(request(t, "prompt=none")); p.location.Query().Get("error") != "login_required" {
		t.Errorf("the sign-in of before: %d to %v", p.status, p.location)
	}
	s, a := x.apiLogin(t, "default", "dave", password+"-2", "api")
	if a.status != http.StatusOK || x.get(t, "api", "/", s.Access).status != http.StatusOK {
		t.Errorf("with the new password: %d %s", a.status, a.body)
	}
}

// setPassword changes a password through the API, which computes few hashes at once, and says so.
func (x *authorizing) setPassword(t *testing.T, bearer, id, password string) {
	body := encode(t, map[string]string{"password": password})
	for range 10 {
		switch a := x.manage(t, "PUT", "/api/users/"+id+"/password", bearer, body); a.status {
		case http.StatusNoContent:
			return
		case http.StatusServiceUnavailable:
		default:
			t.Errorf("the change: %d %s", a.status, a.body)
			return
		}
	}
	t.Error("the password could not be changed")
}

// raceForOnePushedRequest: it is completed once.
func raceForOnePushedRequest(t *testing.T, x *authorizing, v *visitor) {
	address := "/authorize?client_id=pushing&request_uri=" + url.QueryEscape(x.push(t, "pushing", ""))
	var good, bad atomic.Int64
	race(racers, func(int) {
		switch p := v.get(address); {
		case p.status == 303 && p.location.Query().Get("code") != "":
			good.Add(1)
		case p.status == 400:
			bad.Add(1)
		default:
			t.Errorf("%d to %v: %s", p.status, p.location, p.body)
		}
	})
	if good.Load() != 1 || bad.Load() != racers-1 {
		t.Errorf("%d good, %d refused", good.Load(), bad.Load())
	}
}

// raceOfSignOut: the last race, because alice signs out.
func raceOfSignOut(t *testing.T, x *authorizing, v *visitor) {
	codes := make([]string, racers)
	for i := range codes {
		codes[i] = v.code(v.get(request(t, fmt.Sprint("state=", i))))
	}
	got := newRaced()
	race(racers+1, func(i int) {
		if i%2 == 0 { // half of them come together with the sign-out
			got.awaitSome(t)
		}
		if i < racers {
			got.add(t, x.exchange(t, codes[i], ""))
			return
		}
		v.post("/logout", url.Values{})
	})
	x.nothingGood(t, got)
}
