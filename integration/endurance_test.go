package integration

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// endurance is how the whole flow is driven: CADDYAUTH_ENDURANCE says how long on each engine, and
// CADDYAUTH_ENDURANCE_FLOWS how many flows begin each second.
type endurance struct {
	lasts time.Duration
	flows int
}

func readEndurance(t *testing.T) endurance {
	t.Helper()
	e := endurance{lasts: 10 * time.Second, flows: 10}
	var err error
	if text := os.Getenv("CADDYAUTH_ENDURANCE"); text != "" {
		if e.lasts, err = time.ParseDuration(text); err != nil || e.lasts < time.Second {
			t.Fatalf("CADDYAUTH_ENDURANCE: %q is no duration of a second or more", text)
		}
	}
	if text := os.Getenv("CADDYAUTH_ENDURANCE_FLOWS"); text != "" {
		if e.flows, err = strconv.Atoi(text); err != nil || e.flows < 1 {
			t.Fatalf("CADDYAUTH_ENDURANCE_FLOWS: %q is no number of flows a second", text)
		}
	}
	return e
}

// enduring is a server under load, with its people and what they have noted.
type enduring struct {
	*gateway
	endurance
	books
	server *process
	people []*enduringPerson
}

const (
	enduringPeople = 32
	// enduringReuse is the reuse interval: how long a client whose answer was lost may retry.
	enduringReuse = 60 * time.Second
)

const enduranceAuth = `
	auth {
		issuer {{url "server"}}
		store {env.TEST_STORE}
		secret {env.TEST_SECRET}
		lifetimes {
			refresh_reuse_interval 60s
		}
		{{range .People}}
		user {{.}} {
			password_hash {{hash "alice"}}
			claim email {{.}}@example.com
		}
		{{end}}
		client web {
			secret {{.RPSecret}}
			redirect_uri https://rp.example/cb?tenant=1
			scope openid email offline_access read
		}
		client asking {
			redirect_uri https://rp.example/cb?tenant=1
			scope openid email offline_access read
			consent always
		}
		client references {
			secret {{.RPSecret}}
			redirect_uri https://rp.example/cb?tenant=1
			scope openid email offline_access read
			access_token_format opaque
			consent off
		}
		client machine {
			secret {{.RPSecret}}
			grant_types client_credentials
			introspection api
			scope read
		}
	}
`

const enduranceSite = `
	auth_server
	jwt_auth web api {
		forward sub X-User-Id
	}
	respond "hello {header.X-User-Id}"
`

// TestEndurance drives the whole flow by many people at once, with reloads, and a server that is
// killed in the middle: no code is redeemed twice, no session is lost, no token that was revoked is
// admitted a second later, and every answer is the right one.
func TestEndurance(t *testing.T) {
	e := readEndurance(t)
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			x := &enduring{gateway: newGateway(t), endurance: e}
			store := "sqlite:" + x.dir + "/auth.db"
			if engine == "PostgreSQL" {
				store = pgtest.Server(t).URL(t)
			}
			x.start(t, store)
			x.run(t)
		})
	}
}

func (x *enduring) start(t *testing.T, store string) {
	t.Helper()
	var names []string
	for i := range enduringPeople {
		names = append(names, "person"+strconv.Itoa(i))
	}
	x.extra["Level"], x.extra["People"], x.extra["RPSecret"] = "WARN", names, rpSecret
	x.secret("the sealing secret", goodSecret)
	x.secret("the clients' secret", rpSecret)
	x.server = x.startProcess(t, "server", enduranceAuth, enduranceSite, "TEST_STORE="+store,
		"TEST_SECRET=seal:"+goodSecret)
	x.server.awaitReady(t)
	for i, name := range names {
		x.people = append(x.people, x.newPerson(t, name, i))
	}
}

// run lets people come and go until the time is over; then everything must still be as it was left.
func (x *enduring) run(t *testing.T) {
	began := time.Now()
	comes, stop := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for _, p := range x.people {
		all.Go(func() {
			for range comes {
				x.note(p.visit())
			}
		})
	}
	all.Go(func() { x.letIn(comes, stop) })
	x.disturb(t, began)
	close(stop)
	all.Wait()
	for _, p := range x.people {
		x.note(p.settle())
	}
	t.Logf("%v, %d flows begun each second:\n%s", time.Since(began).Round(time.Second), x.flows, x.summary())
	for _, wrong := range x.wrong[:min(50, len(x.wrong))] {
		t.Error(wrong)
	}
	if x.counts["visits"] == 0 || x.counts["code redeemed"] == 0 {
		t.Error("nothing was done")
	}
}

// letIn begins flows at the rate that was asked for, as long as there is someone to begin them.
func (x *enduring) letIn(comes chan<- struct{}, stop <-chan struct{}) {
	defer close(comes)
	due := time.NewTicker(time.Second / time.Duration(x.flows))
	defer due.Stop()
	for {
		select {
		case <-stop:
			return
		case <-due.C:
		}
		select {
		case <-stop:
			return
		case comes <- struct{}{}:
		}
	}
}

// disturb reloads the server every 20 seconds, or five times in a shorter run, and kills it once.
func (x *enduring) disturb(t *testing.T, began time.Time) {
	t.Helper()
	every := min(20*time.Second, x.lasts/5)
	kill := began.Add(x.lasts/2 + every/2)
	for next := began.Add(every); next.Before(began.Add(x.lasts)); next = next.Add(every) {
		if !kill.IsZero() && kill.Before(next) {
			time.Sleep(time.Until(kill))
			kill = time.Time{}
			x.outage(t)
		}
		time.Sleep(time.Until(next))
		x.reload(t)
	}
	time.Sleep(time.Until(began.Add(x.lasts)))
}

// outage kills the server and starts it again.
func (x *enduring) outage(t *testing.T) {
	t.Helper()
	ended := x.window(&x.outages)
	defer ended()
	time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond) // the moment of the crash
	x.server.kill(t)
	x.server.start(t)
	x.server.awaitReady(t)
	x.count("killed")
}

// reload loads the same configuration anew.
func (x *enduring) reload(t *testing.T) {
	t.Helper()
	ended := x.window(&x.reloads)
	defer ended()
	x.server.reload(t, nil, "--force")
	x.count("reloaded")
}

// newPerson makes a person, and signs them in for as long as the run lasts.
func (x *enduring) newPerson(t *testing.T, name string, number int) *enduringPerson {
	t.Helper()
	p := &enduringPerson{
		enduring: x,
		name:     name,
		number:   number,
		random:   rand.New(rand.NewPCG(9, uint64(number))),
		client:   newEnduringClient(x.addr("server"), number%2 == 0),
	}
	err := p.stay()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}
