package integration

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// crashRounds is how often the server is killed; CADDYAUTH_CRASH_ROUNDS says otherwise.
func crashRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CADDYAUTH_CRASH_ROUNDS")
	if text == "" {
		return 12
	}
	rounds, err := strconv.Atoi(text)
	if err != nil || rounds < 1 {
		t.Fatalf("CADDYAUTH_CRASH_ROUNDS: %q is no number of rounds", text)
	}
	return rounds
}

// crashAuth keeps its keys in the store and in the data directory.
const crashAuth = `
	auth {
		issuer {{url "server"}}
		store {env.TEST_STORE}
		secret {env.TEST_SECRET}
		lifetimes {
			refresh_reuse_interval {{.Reuse}}
		}
		user alice {
			password_hash {{hash "alice"}}
		}
	}
`

// TestKilledServersLoseNoSession kills the server at random moments while clients rotate their
// refresh tokens and repeat what was not answered. With a reuse interval nobody loses a session;
// without one, who lost an answer loses the session with it, and they are counted, and nobody else
// loses one: not who was turned away, nor who was answered 503. No token ever has two successors.
func TestKilledServersLoseNoSession(t *testing.T) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			store := func(t *testing.T, g *gateway) string { return "sqlite:" + g.dir + "/auth.db" }
			if engine == "PostgreSQL" {
				database := pgtest.Server(t)
				store = func(t *testing.T, _ *gateway) string { return database.URL(t) }
			}
			t.Run("interval 60s", func(t *testing.T) { killAgainAndAgain(t, store, "60s", crashRounds(t)) })
			t.Run("interval 0s", func(t *testing.T) { killAgainAndAgain(t, store, "0s", (crashRounds(t)+1)/2) })
		})
	}
}

// crash is a server that is killed, and its clients.
type crash struct {
	*gateway
	keeps bool // there is a reuse interval: no session may be lost
	stop  atomic.Bool

	rotations, repeats, unanswered, turnedAway, unavailable, lost atomic.Int64
}

const crashClients = 20

func killAgainAndAgain(t *testing.T, store func(*testing.T, *gateway) string, reuse string, rounds int) {
	g := newGateway(t)
	g.extra["Level"], g.extra["Reuse"] = "INFO", reuse
	g.secret("the sealing secret", goodSecret)
	c := &crash{gateway: g, keeps: reuse != "0s"}
	server := g.startProcess(t, "server", crashAuth, nodeSite, "TEST_STORE="+store(t, g),
		"TEST_SECRET=seal:"+goodSecret)
	server.awaitReady(t)
	clients := make([]*rotator, crashClients)
	var wait sync.WaitGroup
	for i := range clients {
		clients[i] = &rotator{
			crash:      c,
			address:    "10.7.0." + strconv.Itoa(i),
			successors: map[string]string{},
			random:     rand.New(rand.NewPCG(7, uint64(i))),
		}
		clients[i].signIn(t)
	}
	for _, client := range clients {
		wait.Go(func() { client.run(t) })
	}
	began, moments := time.Now(), rand.New(rand.NewPCG(1, 2))
	for range rounds {
		if moments.IntN(5) > 0 { // otherwise it is killed while it starts
			c.awaitRotations(t, crashClients)
		}
		if t.Failed() {
			break
		}
		time.Sleep(time.Duration(moments.IntN(150_000)) * time.Microsecond) // the moment of the crash
		server.kill(t)
		server.start(t)
	}
	server.awaitReady(t)
	c.stop.Store(true)
	wait.Wait()
	for _, client := range clients {
		client.settle(t)
	}
	t.Logf("%d kills in %v: %d rotations by %d clients, %d connections cut, %d refused, %d times 503, %d deliberate "+
		"repeats, %d sessions lost",
		rounds, time.Since(began).Round(time.Millisecond), c.rotations.Load(), crashClients, c.unanswered.Load(),
		c.turnedAway.Load(),
		c.unavailable.Load(), c.repeats.Load(), c.lost.Load())
	if c.keeps && c.lost.Load() > 0 {
		t.Errorf("%d sessions lost", c.lost.Load())
	}
}

// awaitRotations waits for n more.
func (c *crash) awaitRotations(t *testing.T, n int64) {
	t.Helper()
	want := c.rotations.Load() + n
	eventually(t, 20*time.Second, func() string {
		if c.rotations.Load() < want {
			return "nobody rotates"
		}
		return ""
	})
}

// rotator is a client that renews its session again and again.
type rotator struct {
	*crash
	address string
	held    string // the refresh token to use next
	tried   bool   // it was presented, and may have been used up without an answer
	// why it may have been: what became of the earlier attempt; empty: none may have got through
	doubt      string
	used       []string          // those before it in this session, in order
	successors map[string]string // what each token was exchanged for
	random     *rand.Rand
}

// signIn begins a session, as soon as there is a server.
func (r *rotator) signIn(t *testing.T) {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if c, a := r.signInAt(t, "server", r.address); a.status == http.StatusOK {
			r.held, r.tried, r.doubt, r.used = c.refresh, false, "", nil
			return
		}
	}
	t.Error("nobody can sign in")
}

func (r *rotator) run(t *testing.T) {
	for !r.stop.Load() && !t.Failed() {
		present := r.held
		if r.keeps && !r.tried && len(r.used) > 0 && r.random.IntN(10) == 0 {
			present = r.used[len(r.used)-1] // as if its answer had been lost
			r.repeats.Add(1)
		}
		r.use(t, present)
	}
}

// use presents a token and makes sure of what comes back.
func (r *rotator) use(t *testing.T, present string) {
	r.tried = r.tried || present == r.held
	a := r.present(t, present)
	got := r.received(a)
	switch {
	case a.broken != nil:
		if dialling, ok := errors.AsType[*net.OpError](a.broken); ok && dialling.Op == "dial" {
			r.turnedAway.Add(1)
		} else {
			r.unanswered.Add(1)
			r.doubt = "no answer: " + a.broken.Error()
		}
		time.Sleep(2 * time.Millisecond)
	case a.status == http.StatusServiceUnavailable:
		r.unavailable.Add(1)
		time.Sleep(2 * time.Millisecond)
	case a.status == http.StatusOK && got.refresh != "":
		r.rotations.Add(1)
		r.take(t, present, got.refresh)
	case a.status == http.StatusUnauthorized:
		if r.lost.Add(1); r.keeps || r.doubt == "" {
			t.Errorf("a session was lost: reason %q; the attempt before it: %q", a.reason(t), r.doubt)
		}
		r.signIn(t)
	default:
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

func (r *rotator) present(t *testing.T, refresh string) answer {
	return sendHTTP1(t, r.addr("server"), call{host: r.host("server"), lines: cookies{refresh: refresh}.lines()})
}

// take takes the successor of a token, of which there is only one, one generation on.
func (r *rotator) take(t *testing.T, present, successor string) {
	family, before := reference(t, present)
	same, after := reference(t, successor)
	if same != family || after != before+1 {
		t.Errorf("generation %d of %s after %d of %s", after, same, before, family)
	}
	if known := r.successors[present]; known != "" && known != successor {
		t.Errorf("generation %d has two successors", before)
	}
	r.successors[present] = successor
	if present == r.held {
		r.held, r.tried, r.doubt, r.used = successor, false, "", append(r.used, present)
	}
}

// settle uses the session once more, now that nothing is killed; then a token that was used up
// before the last one is refused, and ends the session, because somebody else may have the others.
func (r *rotator) settle(t *testing.T) {
	last := r.held
	r.use(t, last)
	if r.held == last {
		t.Error("the last renewal failed")
		return
	}
	if r.keeps {
		r.use(t, last) // inside the interval: the same again
	}
	r.use(t, r.held)
	if len(r.used) < 2 {
		return
	}
	old, current := r.used[r.random.IntN(len(r.used)-1)], r.held
	for _, token := range []string{old, current} {
		if a := r.present(t, token); a.status != http.StatusUnauthorized {
			t.Errorf("after a token was used twice outside the interval: status %d", a.status)
		}
	}
}
