package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// lateNodes are two nodes on one database, of which "near" reaches it directly and "far" by way of
// a relay.
func lateNodes(t *testing.T) (*nodes, *pgtest.Proxy) {
	t.Helper()
	n := &nodes{
		gateway:  newGateway(t),
		database: pgtest.Server(t),
		names:    []string{"near", "far"},
		all:      map[string]*process{},
	}
	n.extra["Level"], n.extra["More"] = "INFO", ""
	n.secret("the sealing secret", goodSecret)
	near, err := url.Parse(n.database.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	proxy, far := pgtest.NewProxy(t, near.Host), *near
	far.Host = proxy.Addr()
	n.env = []string{"TEST_STORE=" + near.String(), "TEST_SECRET=seal:" + goodSecret}
	n.all["near"] = n.startProcess(t, "near", nodeAuth, nodeSite, n.env...)
	n.all["far"] = n.startProcess(t, "far", nodeAuth, nodeSite, "TEST_STORE="+far.String(), n.env[1])
	for _, name := range n.names {
		n.all[name].awaitReady(t)
	}
	return n, proxy
}

// refusedAfter ends a session at the near node and returns how long the far one went on admitting
// it.
func (n *nodes) refusedAfter(t *testing.T, address string) time.Duration {
	t.Helper()
	held := n.signedIn(t, "near", address)
	if a := n.at(t, "far", cookies{access: held.access}); a.status != http.StatusOK {
		t.Fatalf("a good session at the far node: status %d, reason %q", a.status, a.reason(t))
	}
	n.signOutAt(t, "near", held)
	began := time.Now()
	for time.Since(began) < 30*time.Second {
		if a := n.at(t, "far", cookies{access: held.access}); a.status == http.StatusUnauthorized {
			return time.Since(began)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("a session that was ended elsewhere is admitted for good")
	return time.Since(began)
}

// TestRevocationsComeOverAnotherConnectionWhenOneHangs: connections that stand drop everything
// without a word, as after a firewall has forgotten them, and new ones can be made.
func TestRevocationsComeOverAnotherConnectionWhenOneHangs(t *testing.T) {
	n, proxy := lateNodes(t)
	standing := proxy.Accepted()
	proxy.HangSome(func(number int) bool { return number <= standing })
	if took := n.refusedAfter(t, "10.6.0.1"); took > 2500*time.Millisecond {
		t.Errorf("a session that was ended elsewhere was admitted for %v", took)
	}
}

// ageIs demands that the health of a node tells of a list of revocations that has not been read for
// some seconds.
func (n *nodes) ageIs(t *testing.T, name string, status int) {
	t.Helper()
	var health struct {
		Age float64 `json:"revocation_list_age"`
	}
	a := n.all[name].health(t)
	if err := json.Unmarshal([]byte(a.body), &health); err != nil || a.status != status || health.Age < 2 ||
		health.Age > 20 {
		t.Errorf("health of %s: status %d, %s", name, a.status, a.body)
	}
}

// TestAHangingLinkIsSeen: nothing helps while the link drops everything, but an operator sees it at
// once, and when it is back the list is up to date within a second.
func TestAHangingLinkIsSeen(t *testing.T) {
	n, proxy := lateNodes(t)
	held := n.signedIn(t, "near", "10.6.0.2")
	proxy.Hang()
	n.signOutAt(t, "near", held)
	time.Sleep(3 * time.Second)
	if a := n.at(t, "far", cookies{access: held.access}); a.status != http.StatusOK {
		t.Errorf("without the database the last list holds, and this session: status %d, reason %q", a.status,
			a.reason(t))
	}
	n.ageIs(t, "far", http.StatusServiceUnavailable)
	proxy.Resume()
	back := time.Now()
	for n.at(t, "far", cookies{access: held.access}).status != http.StatusUnauthorized &&
		time.Since(back) < 20*time.Second {
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(back); took > 2500*time.Millisecond {
		t.Errorf("when the link was back, a session that was ended meanwhile was admitted for %v", took)
	}
	eventually(t, clientPatience, func() string {
		log, err := os.ReadFile(n.all["far"].logFile())
		if err != nil {
			return err.Error()
		}
		for _, line := range []string{
			"the list of revocations cannot be read", "the list of revocations is up to date again",
		} {
			if !strings.Contains(string(log), line) {
				return "the log does not say: " + line
			}
		}
		return ""
	})
}

// lockDenials keeps everybody else from the table of denials for as long as f runs.
func (n *nodes) lockDenials(t *testing.T, f func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), strings.TrimPrefix(n.env[0], "TEST_STORE="))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	tx, err := conn.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "LOCK TABLE denial IN ACCESS EXCLUSIVE MODE")
	}
	if err != nil {
		t.Fatal(err)
	}
	f()
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestALockedTableIsNotWaitedForLongerThanItIsLocked: somebody locks the table of denials, as a
// migration or a backup may.
func TestALockedTableIsNotWaitedForLongerThanItIsLocked(t *testing.T) {
	n, _ := lateNodes(t)
	held := n.signedIn(t, "near", "10.6.0.3")
	n.signOutAt(t, "near", held)
	other := n.signedIn(t, "near", "10.6.0.4")
	n.lockDenials(t, func() {
		time.Sleep(3 * time.Second)
		n.ageIs(t, "far", http.StatusOK)
	})
	n.signOutAt(t, "near", other)
	began := time.Now()
	for n.at(t, "far", cookies{access: other.access}).status != http.StatusUnauthorized &&
		time.Since(began) < 20*time.Second {
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(began); took > 2500*time.Millisecond {
		t.Errorf("after the lock was gone, a session that was ended was admitted for %v", took)
	}
}
