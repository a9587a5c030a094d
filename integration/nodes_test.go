package integration

import (
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// nodeAuth is the configuration that all nodes share; their keys are in the database.
const nodeAuth = `
	auth {
		issuer {{url "public"}}
		store {env.TEST_STORE}
		secret {env.TEST_SECRET}
		{{.More}}
		user alice {
			password_hash {{hash "alice"}}
			claim role admin
			admin
		}
	}
`

// nodeSite is the site of one node.
const nodeSite = `
	auth_server
	jwt_auth web api {
		forward sub X-User-Id
	}
	respond "hello"
`

// nodes are three servers on one PostgreSQL.
type nodes struct {
	*gateway
	database *pgtest.Postgres
	names    []string
	all      map[string]*process
	env      []string
}

func startNodes(t *testing.T) *nodes {
	t.Helper()
	return startNodesWith(t, nodeSite, nil)
}

// startNodesWith starts nodes whose site may name more.
func startNodesWith(t *testing.T, site string, more map[string]any) *nodes {
	t.Helper()
	database := pgtest.Server(t)
	n := &nodes{gateway: newGateway(t), database: database, names: []string{"a", "b", "c"}, all: map[string]*process{}}
	n.extra["Level"], n.extra["More"] = "DEBUG", ""
	maps.Copy(n.extra, more)
	n.secret("the sealing secret", goodSecret)
	n.env = []string{"TEST_STORE=" + database.URL(t), "TEST_SECRET=seal:" + goodSecret}
	for _, name := range n.names { // all at once, on an empty database
		n.all[name] = n.startProcess(t, name, nodeAuth, site, n.env...)
	}
	for _, name := range n.names {
		n.all[name].awaitReady(t)
	}
	return n
}

// at asks a node with a session's cookies.
func (n *nodes) at(t *testing.T, name string, c cookies) answer {
	return sendHTTP1(t, n.addr(name), call{host: n.host(name), lines: c.lines()})
}

// signedIn is a session that was begun at a node.
func (n *nodes) signedIn(t *testing.T, name, address string) cookies {
	t.Helper()
	c, a := n.signInAt(t, name, address)
	if a.status != http.StatusOK || c.access == "" || c.refresh == "" {
		t.Fatalf("signing in at %s: status %d: %s %v", name, a.status, a.body, a.broken)
	}
	return c
}

// renewedAt renews a session at a node.
func (n *nodes) renewedAt(t *testing.T, name, refresh string) cookies {
	t.Helper()
	a := n.at(t, name, cookies{refresh: refresh})
	c := n.received(a)
	if a.status != http.StatusOK || c.refresh == "" {
		t.Fatalf("renewing at %s: status %d, reason %q %v", name, a.status, a.reason(t), a.broken)
	}
	return c
}

// others are the nodes besides one.
func (n *nodes) others(name string) []string {
	return slices.DeleteFunc(slices.Clone(n.names), func(other string) bool { return other == name })
}

// TestNodes: three processes on one PostgreSQL are one server.
func TestNodes(t *testing.T) {
	n := startNodes(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"one key", n.oneKey}, {"opaque tokens", n.opaqueTokens},
		{"sessions move", n.sessionsMove}, {"one rotation", n.oneRotation},
		{"revocation", n.revocation}, {"orders", n.orders}, {"a node dies", n.nodeDies},
		{"the database is away", n.databaseAway},
	} {
		t.Run(step.name, step.run)
	}
}

// oneKey: processes that started at once on an empty database sign with the same key.
func (n *nodes) oneKey(t *testing.T) {
	var sets []string
	for _, name := range n.names {
		a := n.get(t, name, "/jwks.json", "")
		if a.status != http.StatusOK || strings.Count(a.body, `"kid"`) != 1 {
			t.Errorf("%s: status %d: %s", name, a.status, a.body)
		}
		sets = append(sets, a.body)
	}
	if sets[0] != sets[1] || sets[1] != sets[2] {
		t.Errorf("%q", sets)
	}
}

// sessionsMove: a session begun at one node is good at the others, and each continues it.
func (n *nodes) sessionsMove(t *testing.T) {
	held := n.signedIn(t, "a", "10.1.0.1")
	for turn, name := range []string{"b", "c", "a", "b"} {
		if a := n.at(t, name, cookies{access: held.access}); a.status != http.StatusOK {
			t.Errorf("the access token at %s: status %d, reason %q", name, a.status, a.reason(t))
		}
		held = n.renewedAt(t, name, held.refresh)
		if _, generation := reference(t, held.refresh); generation != turn+1 {
			t.Errorf("generation %d after %d renewals", generation, turn+1)
		}
	}
}

// oneRotation: one refresh token at all nodes at once is used once, and all get its one successor.
func (n *nodes) oneRotation(t *testing.T) {
	held := n.signedIn(t, "a", "10.1.0.2")
	for round := range 5 {
		got := make([]cookies, 18)
		var wait sync.WaitGroup
		for i := range got {
			wait.Go(func() {
				a := n.at(t, n.names[i%3], onlyRefresh(held))
				if got[i] = n.received(a); a.status != http.StatusOK {
					t.Errorf("status %d, reason %q %v", a.status, a.reason(t), a.broken)
				}
			})
		}
		wait.Wait()
		for _, c := range got {
			if c.refresh != got[0].refresh || c.refresh == "" {
				t.Fatal("more than one successor")
			}
		}
		if _, generation := reference(t, got[0].refresh); generation != round+1 {
			t.Errorf("generation %d after %d rotations", generation, round+1)
		}
		held = got[0]
	}
}

// onlyRefresh is the session without its access token, so that it is renewed.
func onlyRefresh(c cookies) cookies { return cookies{refresh: c.refresh} }

// revocation: whoever signs out at one node is out at the others within a second.
func (n *nodes) revocation(t *testing.T) {
	var took []time.Duration
	for round := range 200 {
		name := n.names[round%3]
		held := n.signedIn(t, name, fmt.Sprintf("10.2.0.%d", round/40))
		for _, other := range n.names {
			if a := n.at(t, other, cookies{access: held.access}); a.status != http.StatusOK {
				t.Fatalf("round %d at %s: status %d, reason %q", round, other, a.status, a.reason(t))
			}
		}
		asked := time.Now()
		if a := n.signOutAt(t, name, held); a.status != http.StatusNoContent {
			t.Fatalf("round %d, signing out: status %d: %s", round, a.status, a.body)
		}
		took = append(took, n.untilRefused(t, n.others(name), held, asked)...)
		if a := n.at(t, name, cookies{access: held.access}); a.reason(t) != "revoked" {
			t.Errorf("round %d, where it was revoked: status %d, reason %q", round, a.status, a.reason(t))
		}
	}
	report(t, "signed out at one node, refused at another", took)
}

// untilRefused measures how long after a moment the nodes refuse an access token.
func (n *nodes) untilRefused(t *testing.T, names []string, c cookies, since time.Time) []time.Duration {
	t.Helper()
	took := make([]time.Duration, len(names))
	var wait sync.WaitGroup
	for i, name := range names {
		wait.Go(func() {
			for time.Since(since) < 5*time.Second {
				a := n.at(t, name, cookies{access: c.access})
				if took[i] = time.Since(since); a.status == http.StatusUnauthorized {
					if a.reason(t) != "revoked" {
						t.Errorf("at %s: reason %q", name, a.reason(t))
					}
					break
				}
				time.Sleep(time.Millisecond)
			}
			if took[i] > time.Second {
				t.Errorf("at %s it took %v", name, took[i])
			}
		})
	}
	wait.Wait()
	return took
}

// report prints a distribution.
func report(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	at := func(share float64) time.Duration {
		return took[int(share*float64(len(took)-1))].Round(100 * time.Microsecond)
	}
	t.Logf("%s, %d measurements: least %v, median %v, 90 %% %v, 99 %% %v, most %v", what, len(took), at(0), at(0.5),
		at(0.9), at(0.99), at(1))
}

// orders: an administrator's order at one node, against a person, holds at the others within a
// second.
func (n *nodes) orders(t *testing.T) {
	admin := n.signedIn(t, "a", "10.3.0.1")
	manage := func(name, method, target, body string, status int) answer {
		t.Helper()
		a := sendHTTP1(t, n.addr(name), call{
			method: method, target: target, host: n.host(name), body: body,
			lines: append(admin.lines(), "Content-Type: application/json", "Origin: "+n.url(name),
				"Sec-Fetch-Site: same-origin"),
		})
		if a.status != status {
			t.Fatalf("%s %s: status %d: %s %v", method, target, a.status, a.body, a.broken)
		}
		return a
	}
	user := "/api/users/" +
		userID(t,
			manage("a", "POST", "/api/users", `{"name":"eve","password":"`+bobPassword+`"}`, http.StatusCreated).body)
	var took []time.Duration
	for round := range 10 {
		name := n.names[round%3]
		in := sendHTTP1(t, n.addr(n.names[(round+1)%3]), call{
			method: http.MethodPost, target: "/login", host: n.host(n.names[(round+1)%3]),
			lines: []string{"Content-Type: application/json", "X-Forwarded-For: 10.3.0.2"},
			body:  `{"username":"eve","password":"` + bobPassword + `"}`,
		})
		held := n.received(in)
		if in.status != http.StatusOK {
			t.Fatalf("status %d: %s", in.status, in.body)
		}
		asked := time.Now()
		manage(name, "PATCH", user, `{"disabled":true}`, http.StatusOK)
		took = append(took, n.untilRefused(t, n.others(name), held, asked)...)
		if a := n.at(t, name, onlyRefresh(held)); a.status != http.StatusUnauthorized {
			t.Errorf("renewing: status %d", a.status)
		}
		manage(name, "PATCH", user, `{"disabled":false}`, http.StatusOK)
	}
	report(t, "disabled at one node, refused at another", took)
}

// TestPollAloneSuffices: where nothing wakes the other nodes (two processes on one SQLite file,
// here) what one revokes holds on the other within a second all the same.
func TestPollAloneSuffices(t *testing.T) {
	n := &nodes{gateway: newGateway(t), names: []string{"a", "b"}, all: map[string]*process{}}
	n.extra["Level"], n.extra["More"] = "DEBUG", ""
	n.secret("the sealing secret", goodSecret)
	for _, name := range n.names {
		n.all[name] = n.startProcess(t, name, nodeAuth, nodeSite, "TEST_STORE=sqlite:"+n.dir+"/auth.db",
			"TEST_SECRET=seal:"+goodSecret)
		n.all[name].awaitReady(t)
	}
	var took []time.Duration
	for round := range 12 {
		name := n.names[round%2]
		held := n.signedIn(t, name, "10.6.0.1")
		asked := time.Now()
		n.signOutAt(t, name, held)
		took = append(took, n.untilRefused(t, n.others(name), held, asked)...)
	}
	report(t, "signed out at one process, refused at another by polling", took)
}

// nodeDies: a node that is killed takes no session with it, and knows when it is back what was
// revoked meanwhile.
func (n *nodes) nodeDies(t *testing.T) {
	var sessions []cookies
	for i := range 10 {
		sessions = append(sessions, n.signedIn(t, n.names[i%3], "10.4.0.1"))
	}
	stolen := sessions[0]
	n.all["a"].kill(t)
	for i, c := range sessions {
		name := []string{"b", "c"}[i%2]
		if a := n.at(t, name, cookies{access: c.access}); a.status != http.StatusOK {
			t.Errorf("session %d at %s: status %d, reason %q", i, name, a.status, a.reason(t))
		}
		sessions[i] = n.renewedAt(t, name, c.refresh)
	}
	n.signedIn(t, "b", "10.4.0.1")
	n.signOutAt(t, "c", stolen)
	n.all["a"].start(t)
	n.all["a"].awaitReady(t)
	if a := n.at(t, "a", cookies{access: stolen.access}); a.reason(t) != "revoked" {
		t.Errorf("what was revoked while it was away: status %d, reason %q", a.status, a.reason(t))
	}
	for i, c := range sessions[1:] {
		if a := n.at(t, "a", cookies{access: c.access}); a.status != http.StatusOK {
			t.Errorf("session %d: status %d, reason %q", i+1, a.status, a.reason(t))
		}
		n.renewedAt(t, "a", c.refresh)
	}
}

// reloadsAway: a reload while the database is away is refused, and the configuration that runs goes
// on with what it knows.
func (n *nodes) reloadsAway(t *testing.T) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	reload := exec.CommandContext(t.Context(), path, "reload", "--config", n.all["a"].config, "--adapter", "caddyfile",
		"--address", n.addr("a-admin"), "--force")
	reload.Env = n.all["a"].env
	out, err := reload.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the store is unavailable") {
		t.Errorf("a reload while the database is away: %v\n%s", err, out)
	}
	if a := n.get(t, "a", "/jwks.json", ""); a.status != http.StatusOK || strings.Count(a.body, `"kid"`) == 0 {
		t.Errorf("the keys after it: status %d: %s", a.status, a.body)
	}
}

// databaseAway: while PostgreSQL is down what was issued is good, nothing is issued and everybody
// is told to come again; when it is back everything goes on without a restart, and no session was
// lost. A node that may not go on for long with what it knows says so.
func (n *nodes) databaseAway(t *testing.T) {
	n.extra["More"] = "revocation_staleness 1s"
	strict := n.startProcess(t, "strict", nodeAuth, nodeSite, n.env...)
	strict.awaitReady(t)
	n.extra["More"] = ""
	var sessions []cookies
	for i := range 12 {
		sessions = append(sessions, n.signedIn(t, n.names[i%3], "10.5.0.1"))
	}
	out := n.signedIn(t, "b", "10.5.0.1")
	n.signOutAt(t, "b", out)
	n.untilRefused(t, n.others("b"), out, time.Now())
	n.database.Stop(t)
	n.reloadsAway(t)
	for _, name := range n.names {
		n.checkAway(t, name, sessions[0], out)
	}
	eventually(t, 10*time.Second, func() string {
		a := n.at(t, "strict", cookies{access: sessions[0].access})
		if a.status != http.StatusServiceUnavailable || a.reason(t) != "revocation_unavailable" ||
			a.header.Get("Retry-After") == "" {
			return fmt.Sprintf("a node with revocation_staleness 1s: status %d, reason %q, Retry-After %q", a.status,
				a.reason(t), a.header.Get("Retry-After"))
		}
		return ""
	})
	n.startProcess(t, "late", nodeAuth, nodeSite, n.env...)
	eventually(t, 10*time.Second, func() string {
		a := n.at(t, "late", cookies{access: sessions[0].access})
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			return fmt.Sprintf("a node that started without the database: status %d, reason %q %v", a.status,
				a.reason(t), a.broken)
		}
		return ""
	})
	n.database.Start(t)
	back := time.Now()
	for _, name := range append(slices.Clone(n.names), "strict", "late") {
		eventually(t, 15*time.Second, func() string {
			health := n.get(t, name, "/healthz", "")
			_, in := n.signInAt(t, name, "10.5.0.2")
			if a := n.at(t, name, cookies{access: sessions[0].access}); health.status != http.StatusOK ||
				in.status != http.StatusOK || a.status != http.StatusOK {
				return fmt.Sprintf("%s: health %d, signing in %d, the gate %d", name, health.status, in.status,
					a.status)
			}
			return ""
		})
	}
	t.Logf("all nodes issue again %v after PostgreSQL was ready", time.Since(back).Round(time.Millisecond))
	for i, c := range sessions {
		next := n.renewedAt(t, n.names[i%3], c.refresh)
		n.renewedAt(t, n.names[(i+1)%3], next.refresh)
	}
	if a := n.at(t, "a", cookies{access: out.access}); a.reason(t) != "revoked" {
		t.Errorf("who had signed out before: status %d, reason %q", a.status, a.reason(t))
	}
	asked := time.Now()
	n.signOutAt(t, "a", sessions[0])
	report(t, "after the database was back, refused at another node",
		n.untilRefused(t, []string{"b", "c", "strict"}, sessions[0], asked))
}

// checkAway is what a node does without its database.
func (n *nodes) checkAway(t *testing.T, name string, held, out cookies) {
	t.Helper()
	if a := n.at(t, name, cookies{access: held.access}); a.status != http.StatusOK {
		t.Errorf("%s, an access token: status %d, reason %q", name, a.status, a.reason(t))
	}
	if a := n.at(t, name, cookies{access: out.access}); a.reason(t) != "revoked" {
		t.Errorf("%s, a revoked one: status %d, reason %q", name, a.status, a.reason(t))
	}
	sent := func(method, target, body string, lines ...string) answer {
		return sendHTTP1(t, n.addr(name),
			call{method: method, target: target, host: n.host(name), body: body, lines: lines})
	}
	credentials, json := `{"username":"alice","password":"`+alicePassword+`"}`, "Content-Type: application/json"
	for _, c := range []struct {
		what string
		ask  func() answer
	}{
		{"health", func() answer { return n.all[name].health(t) }},
		{"signing in", func() answer { return sent("POST", "/login", credentials, json) }},
		{"a program's signing in", func() answer { return sent("POST", "/api/default/auth/login", credentials, json) }},
		{"renewing", func() answer { return n.at(t, name, onlyRefresh(held)) }},
		{"signing out", func() answer { return sent("POST", "/logout", "", held.lines()...) }},
		{"managing", func() answer { return sent("GET", "/api/projects", "", held.lines()...) }},
	} {
		asked := time.Now()
		a := c.ask()
		if took := time.Since(asked); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" ||
			took > 3*time.Second {
			t.Errorf("%s, %s: status %d, Retry-After %q, after %v: %s %v", name, c.what, a.status,
				a.header.Get("Retry-After"), took, a.body, a.broken)
		}
		if c.what == "renewing" && len(a.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: the session's cookies were touched: %q", name, a.header.Values("Set-Cookie"))
		}
	}
}
