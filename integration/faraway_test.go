package integration

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// farUsers is how many people use a node whose database is far away.
const farUsers = 60

// farNode is a node with a relay between it and its database.
type farNode struct {
	*gateway
	proxy  *pgtest.Proxy
	server *process
}

func newFarNode(t *testing.T, oneWay time.Duration, options ...string) *farNode {
	return newFarNodeOf(t, program, oneWay, options...)
}

// newFarNodeOf is newFarNode with a program of one's own.
func newFarNodeOf(t *testing.T, program func() (string, error), oneWay time.Duration, options ...string) *farNode {
	g := newGateway(t)
	g.program = program
	var users strings.Builder
	for i := range farUsers {
		fmt.Fprintf(&users, "user u%d {\npassword_hash {{hash \"alice\"}}\n}\n", i)
	}
	g.extra["Level"], g.extra["More"] = "ERROR", ""
	g.secret("the sealing secret", goodSecret)
	proxy, url := pgtest.Server(t).ProxyURL(t, options...)
	auth := strings.Replace(nodeAuth, "{{.More}}", users.String(), 1)
	server := g.startProcess(t, "public", auth, nodeSite, "TEST_STORE="+url, "TEST_SECRET=seal:"+goodSecret)
	server.awaitReady(t)
	proxy.Delay(oneWay)
	return &farNode{g, proxy, server}
}

// signIn signs the user of that number in, for the nth time, from an address of his own.
func (f *farNode) signIn(t *testing.T, user, n int) (string, answer) {
	a := sendHTTP1(t, f.addr("public"), call{
		method: http.MethodPost, target: "/login", host: f.host("public"),
		lines: []string{
			"Content-Type: application/json", fmt.Sprintf("X-Forwarded-For: 10.%d.%d.%d", 20+n/200, user, n%200),
		},
		body: fmt.Sprintf(`{"username":"u%d","password":"%s"}`, user, alicePassword),
	})
	return f.received(a).refresh, a
}

func (f *farNode) renew(t *testing.T, refresh string) (string, answer) {
	a := sendHTTP1(t, f.addr("public"), call{host: f.host("public"), lines: cookies{refresh: refresh}.lines()})
	return f.received(a).refresh, a
}

// answers are the times that answers took, by status.
type answers struct {
	mu   sync.Mutex
	took map[int][]time.Duration
}

func (a *answers) add(status int, took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.took == nil {
		a.took = map[int][]time.Duration{}
	}
	a.took[status] = append(a.took[status], took)
}

// p99 is of the answers of one status.
func (a *answers) p99(status int) time.Duration {
	took := a.took[status]
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func (a *answers) String() string {
	var text []string
	for status := range a.took {
		text = append(text,
			fmt.Sprintf("%d times %d (p99 %v)", len(a.took[status]), status, a.p99(status).Round(time.Millisecond)))
	}
	slices.Sort(text)
	return strings.Join(text, ", ")
}

// TestADatabaseFarAwayCarriesTenRequestsASecond: 200 ms for a round trip, ten sign-ins and ten
// renewals a second.
func TestADatabaseFarAwayCarriesTenRequestsASecond(t *testing.T) {
	f := newFarNode(t, 0)
	held := make([]string, farUsers)
	for i := range held {
		held[i], _ = f.signIn(t, i, 0)
	}
	f.proxy.Delay(100 * time.Millisecond)
	var signIns, renewals answers
	var all sync.WaitGroup
	for i := range 4 * 10 {
		all.Go(func() {
			begun := time.Now()
			_, a := f.signIn(t, i, 1)
			signIns.add(a.status, time.Since(begun))
		})
		all.Go(func() {
			begun := time.Now()
			_, a := f.renew(t, held[i])
			renewals.add(a.status, time.Since(begun))
		})
		time.Sleep(100 * time.Millisecond)
	}
	all.Wait()
	t.Logf("sign-ins: %v; renewals: %v", &signIns, &renewals)
	for _, c := range []struct {
		what string
		got  *answers
	}{{"signing in", &signIns}, {"renewing", &renewals}} {
		t.Run(c.what, func(t *testing.T) {
			if len(c.got.took[http.StatusOK]) != 40 || c.got.p99(http.StatusOK) > 15*time.Second {
				t.Errorf("%s: %v", c.what, c.got)
			}
		})
	}
}

// TestADatabaseThatHangsIsWaitedForOnce: the probe of a load balancer and who signs in get their
// 503 at once, after the first have found out.
func TestADatabaseThatHangsIsWaitedForOnce(t *testing.T) {
	f := newFarNode(t, 0)
	f.proxy.Hang()
	f.server.health(t) // finds out
	eventually(t, 10*time.Second, func() string {
		begun := time.Now()
		if a := f.server.health(t); a.status != http.StatusServiceUnavailable || time.Since(begun) > time.Second {
			return fmt.Sprintf("status %d after %v", a.status, time.Since(begun))
		}
		return ""
	})
	for i := range 5 {
		begun := time.Now()
		_, a := f.signIn(t, i, 0)
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" ||
			time.Since(begun) > time.Second {
			t.Errorf("signing in: status %d after %v", a.status, time.Since(begun))
		}
	}
	f.proxy.Resume()
	eventually(t, clientPatience, func() string {
		if _, a := f.signIn(t, 0, 1); a.status != http.StatusOK {
			return fmt.Sprintf("signing in: status %d %s", a.status, a.body)
		}
		return ""
	})
}
