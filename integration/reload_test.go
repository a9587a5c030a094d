package integration

import (
	"crypto/rand"
	"encoding/base64"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const rotationAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	keys {env.TEST_KEYS} {
		active {env.TEST_ACTIVE}
	}
	user alice {
		password_hash {{hash "alice"}}
		claim role admin
	}
}`

const rotationSites = authSite + `
{{url "api"}} {
	jwt_auth api {
		leeway 0s
		forward sub X-User-Id
		forward role X-User-Role
	}
	reverse_proxy {{.Proxy}}
}
`

// rotation is a steady load while keys change. Workers hold the lock for reading during a request,
// so that a token that is taken out of use has no request under way.
type rotation struct {
	g *gateway

	inUse sync.RWMutex
	good  []string

	short   atomic.Pointer[shortLived]
	answers atomic.Int64
	stop    chan struct{}
	wait    sync.WaitGroup
}

// shortLived is a token whose end is near.
type shortLived struct {
	token string
	exp   time.Time
}

// TestKeyRotationUnderLoad: add a key, switch to it, reload twice, remove the old one when its
// tokens are over. Nobody notices.
func TestKeyRotationUnderLoad(t *testing.T) {
	g := newGateway(t)
	second := make([]byte, 32)
	rand.Read(second)
	secondText := base64.StdEncoding.EncodeToString(second)
	g.secret("the second key", secondText)
	old, both := g.tokens.secretRing(), g.tokens.secretRing()+",hs2:"+secondText
	step := func(ring, active string) {
		t.Helper()
		t.Setenv("TEST_KEYS", ring)
		t.Setenv("TEST_ACTIVE", active)
		g.load(rotationAuth, rotationSites)
	}
	step(old, "hs1")
	r := &rotation{g: g, stop: make(chan struct{})}
	r.use(t, g.login(t, "alice", alicePassword))
	r.begin(t)
	defer r.end()

	step(both, "hs1")
	r.use(t, g.login(t, "alice", alicePassword))
	step(both, "hs2")
	r.use(t, g.login(t, "alice", alicePassword))
	step(both, "hs2")
	r.use(t, g.login(t, "alice", alicePassword))
	// the tokens that the old key signed; the short-lived ones of the same key run out by
	// themselves
	fromOld := r.retire(2)
	r.awaitExpiry(t)
	step("hs2:"+secondText, "hs2")
	if got := g.get(t, "api", "/", fromOld[0]); got.status != http.StatusUnauthorized ||
		got.reason(t) != "unknown_key" {
		t.Errorf("a token of the removed key: status %d, reason %q", got.status, got.reason(t))
	}
	r.use(t, g.login(t, "alice", alicePassword))
	r.settle(t, 200)
}

// use puts a token into the load.
func (r *rotation) use(t *testing.T, token string) {
	r.inUse.Lock()
	r.good = append(r.good, token)
	r.inUse.Unlock()
	r.settle(t, 100)
}

// retire takes the first n tokens out of the load.
func (r *rotation) retire(n int) []string {
	r.inUse.Lock()
	defer r.inUse.Unlock()
	retired := slices.Clone(r.good[:n])
	r.good = slices.Clone(r.good[n:])
	return retired
}

// settle waits until n more answers came, so that each step meets the load.
func (r *rotation) settle(t *testing.T, n int64) {
	t.Helper()
	if r.answers.Load() == 0 {
		return // the load has not begun
	}
	want := r.answers.Load() + n
	eventually(t, 30*time.Second, func() string {
		if r.answers.Load() < want {
			return "the load stands still"
		}
		return ""
	})
}

func (r *rotation) begin(t *testing.T) {
	exp := time.Now().Add(3 * time.Second).Truncate(time.Second)
	r.short.Store(&shortLived{
		exp:   exp,
		token: r.g.tokens.mint("hs1", "alice", map[string]any{"role": "admin", "exp": exp.Unix()}),
	})
	for worker := range 4 {
		r.wait.Go(func() {
			for n := worker; ; n++ {
				select {
				case <-r.stop:
					return
				default:
					r.once(t, n)
				}
			}
		})
	}
	eventually(t, 10*time.Second, func() string {
		if r.answers.Load() == 0 {
			return "no answer"
		}
		return ""
	})
}

func (r *rotation) end() {
	close(r.stop)
	r.wait.Wait()
}

// once sends one request whose right answer is known.
func (r *rotation) once(t *testing.T, n int) {
	switch n % 4 {
	case 0, 1:
		r.inUse.RLock()
		defer r.inUse.RUnlock()
		if got := r.ask(t, r.good[n/4%len(r.good)]); got.status != http.StatusOK {
			t.Errorf("a good token: status %d, reason %q", got.status, got.reason(t))
		}
	case 2:
		r.inUse.RLock()
		defer r.inUse.RUnlock()
		if got := r.ask(t, spoil(r.good[n/4%len(r.good)])); got.status != http.StatusUnauthorized ||
			got.reason(t) != "bad_signature" {
			t.Errorf("a bad token: status %d, reason %q", got.status, got.reason(t))
		}
	case 3:
		r.onceShort(t)
	}
}

// onceShort sends the token that runs out: accepted before, refused after, either in between.
func (r *rotation) onceShort(t *testing.T) {
	s := r.short.Load()
	sent := time.Now()
	got := r.ask(t, s.token)
	switch late := time.Now(); {
	case late.Before(s.exp) && got.status != http.StatusOK:
		t.Errorf("a token that lives: status %d, reason %q", got.status, got.reason(t))
	case sent.After(s.exp) && got.status != http.StatusUnauthorized:
		t.Errorf("a token that is over: status %d", got.status)
	}
}

// ask sends a request and counts its answer.
func (r *rotation) ask(t *testing.T, token string) answer {
	got := r.g.get(t, "api", "/", token)
	r.answers.Add(1)
	if got.broken != nil {
		t.Errorf("no answer: %v", got.broken)
	}
	r.g.proxy.take()
	return got
}

// awaitExpiry waits until the short-lived token is refused.
func (r *rotation) awaitExpiry(t *testing.T) {
	t.Helper()
	eventually(t, 10*time.Second, func() string {
		if got := r.ask(t, r.short.Load().token); got.status != http.StatusUnauthorized {
			return "the short-lived token still passes"
		}
		return ""
	})
}

// generatedAuth has its signing key in the store.
const generatedAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	return_to {{origins}}
	user alice {
		password_hash {{hash "alice"}}
		claim role admin
	}
	user bob {
		password_hash {{hash "bob"}}
	}
}`

// apiSite keeps no connection to the application: Caddy's proxy leaves those of an old
// configuration open for two minutes.
const apiSite = authSite + `
{{url "api"}} {
	log
	jwt_auth web api {
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}} {
		transport http {
			keepalive off
		}
	}
}
`

// TestReloadsLeakNothing: twenty reloads and twenty refused ones leave as many goroutines and files
// as before, and what was true before stays true: keys, tokens, and how often somebody guessed.
func TestReloadsLeakNothing(t *testing.T) {
	g := newGateway(t)
	g.load(generatedAuth, apiSite)
	token := g.login(t, "alice", alicePassword)
	g.checkPasses(t, token)
	for range 4 {
		if got := g.tryLogin(t, "bob", "wrong guess"); got.status != http.StatusUnauthorized {
			t.Fatalf("guess: status %d: %s", got.status, got.body)
		}
	}
	for range 2 {
		g.load(generatedAuth, apiSite)
	}
	g.checkPasses(t, token)
	before := g.settledUse(t)
	for range 20 {
		g.load(generatedAuth, apiSite)
		g.checkPasses(t, token)
	}
	g.checkUse(t, "twenty reloads", before)
	g.refuseTwenty(t, token)
	g.checkUse(t, "twenty refused reloads", before)
	if got := g.tryLogin(t, "bob", "wrong guess"); got.status != http.StatusUnauthorized {
		t.Errorf("the fifth guess: status %d", got.status)
	}
	if got := g.tryLogin(t, "bob", "wrong guess"); got.status != http.StatusTooManyRequests ||
		got.header.Get("Retry-After") == "" {
		t.Errorf("the sixth guess, after forty reloads: status %d, Retry-After %q", got.status,
			got.header.Get("Retry-After"))
	}
	g.checkPasses(t, g.login(t, "alice", alicePassword))
}

// refuseTwenty tries configurations that fail early, late, and only when they start.
func (g *gateway) refuseTwenty(t *testing.T, token string) {
	t.Helper()
	taken, err := net.Listen("tcp", g.addr("taken"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := []struct{ globals, sites string }{
		{`auth {
	issuer {{url "auth"}}
	keys short:AAAA
}`, apiSite},
		{
			generatedAuth,
			apiSite +
				"{{url \"other\"}} {\n\tjwt_auth api {\n\t\tforward sub {env.NOT_THERE}\n\t}\n\treverse_proxy " +
				"{{.Proxy}}\n}\n",
		},
		{generatedAuth, apiSite + "{{url \"other\"}} {\n\tjwt_auth nonsense\n\treverse_proxy {{.Proxy}}\n}\n"},
		{
			generatedAuth,
			apiSite +
				"{{url \"other\"}} {\n\tjwt_auth api\n\treverse_proxy {{.Proxy}} {\n\t\tlb_policy header\n\t}\n}\n",
		},
		{generatedAuth, apiSite + "{{url \"taken\"}} {\n\tjwt_auth api\n\treverse_proxy {{.Proxy}}\n}\n"},
	}
	for n := range 20 {
		if err := g.tryLoad(bad[n%len(bad)].globals, bad[n%len(bad)].sites); err == nil {
			t.Fatalf("configuration %d was not refused", n%len(bad))
		}
		g.checkPasses(t, token)
	}
}

func (g *gateway) checkPasses(t *testing.T, token string) {
	t.Helper()
	got := g.get(t, "api", "/", token)
	if got.status != http.StatusOK {
		t.Fatalf("status %d: %s %v", got.status, got.body, got.broken)
	}
	g.proxy.take()
}

// use is what a process holds.
type use struct{ goroutines, files int }

func currentUse(t *testing.T) use {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	return use{runtime.NumGoroutine(), len(entries)}
}

// settledUse waits until the use no longer falls.
func (g *gateway) settledUse(t *testing.T) use {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	last, same := currentUse(t), 0
	for range 100 {
		time.Sleep(50 * time.Millisecond)
		now := currentUse(t)
		if now.goroutines >= last.goroutines && now.files >= last.files {
			if same++; same == 10 {
				break
			}
			continue
		}
		last, same = now, 0
	}
	return last
}

// checkUse allows a few for connections that are just being closed; forty configurations would
// leave far more.
func (g *gateway) checkUse(t *testing.T, after string, before use) {
	t.Helper()
	eventually(t, 15*time.Second, func() string {
		now := currentUse(t)
		if now.goroutines <= before.goroutines+6 && now.files <= before.files+4 {
			return ""
		}
		return "after " + after + " " + describe(now) + ", before " + describe(before)
	})
	if t.Failed() {
		var stacks strings.Builder
		pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Log(stacks.String())
	}
}

// TestRestartKeepsState: what is in the data directory outlives the process's configuration
// altogether.
func TestRestartKeepsState(t *testing.T) {
	g := newGateway(t)
	g.load(generatedAuth, apiSite)
	token := g.login(t, "alice", alicePassword)
	for range 5 {
		g.tryLogin(t, "bob", "wrong guess")
	}
	if err := stopServer(); err != nil {
		t.Fatal(err)
	}
	g.load(generatedAuth, apiSite)
	g.checkPasses(t, token)
	if got := g.tryLogin(t, "bob", "wrong guess"); got.status != http.StatusTooManyRequests {
		t.Errorf("the sixth guess, after a restart: status %d", got.status)
	}
}

// TestRequestsSurviveReload: a request that is under way ends well under the configuration that it
// began with.
func TestRequestsSurviveReload(t *testing.T) {
	g := newGateway(t)
	g.load(generatedAuth, apiSite)
	token := g.login(t, "alice", alicePassword)
	conn := mustDial(t, g.addr("api"))
	defer conn.Close()
	half := call{
		method: "POST",
		host:   g.host("api"),
		lines:  []string{"Authorization: Bearer " + token},
		body:   "hello",
	}.text()
	if _, err := conn.Write([]byte(half[:len(half)-3])); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	text := g.caddyfile(generatedAuth, apiSite)
	go func() { loaded <- loadText(text) }()
	g.checkPasses(t, token)
	if _, err := conn.Write([]byte(half[len(half)-3:])); err != nil {
		t.Fatal(err)
	}
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	eventually(t, clientPatience, func() string {
		for _, s := range g.proxy.take() {
			if s.body == "hello" && slices.Contains(s.headers, "X-User-Id: alice") {
				return ""
			}
		}
		return "the application did not see the request"
	})
}
