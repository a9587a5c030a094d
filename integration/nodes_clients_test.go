package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// TestNodesForgetClients: each node remembers the clients that ask it all the time. What is changed
// of one at a node holds there with the next request, and at the others within a second, also where
// nothing wakes them.
func TestNodesForgetClients(t *testing.T) {
	for _, c := range []struct {
		name  string
		store func(n *nodes) string
	}{
		{"postgres", func(n *nodes) string {
			n.database = pgtest.Server(t)
			return n.database.URL(t)
		}},
		{"two processes on one file", func(n *nodes) string { return "sqlite:" + n.dir + "/auth.db" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &nodes{gateway: newGateway(t), names: []string{"a", "b"}, all: map[string]*process{}}
			n.extra["Level"], n.extra["More"] = "DEBUG", ""
			n.secret("the sealing secret", goodSecret)
			store := c.store(n)
			for _, name := range n.names {
				n.all[name] = n.startProcess(t, name, nodeAuth, nodeSite,
					"TEST_STORE="+store, "TEST_SECRET=seal:"+goodSecret)
				n.all[name].awaitReady(t)
			}
			var took []time.Duration
			for round := range 4 {
				took = append(took, n.clientChanges(t, n.names[round%2], n.names[1-round%2], round)...)
			}
			report(t, "a client changed at one node, refused at another", took)
		})
	}
}

// clientChanges changes a client in several ways at one node while both are asked by it.
func (n *nodes) clientChanges(t *testing.T, here, there string, round int) (took []time.Duration) {
	t.Helper()
	id := fmt.Sprint("machine", round)
	made := n.manages(t, here, http.MethodPost, "/auth/api/clients",
		fmt.Sprintf(`{"id":%q,"grant_types":["client_credentials"]}`, id))
	secret := shownSecret(t, made)
	n.secret("a client secret", secret)
	path := "/auth/api/clients/" + id
	for _, name := range n.names {
		if a := n.asks(t, name, id, secret); a.status != http.StatusOK {
			t.Fatalf("at %s: status %d: %s", name, a.status, a.body)
		}
		if a := n.asks(t, name, id, secret+"x"); a.status != http.StatusUnauthorized {
			t.Errorf("a wrong secret at %s, after the right one: status %d", name, a.status)
		}
	}

	// paused
	ended := n.untilClientRefused(t, there, id, secret, func() {
		n.manages(t, here, http.MethodPatch, path, `{"active":false}`)
	})
	n.isRefused(t, here, id, secret)
	took = append(took, ended())
	n.manages(t, here, http.MethodPatch, path, `{"active":true}`)
	if a := n.asks(t, here, id, secret); a.status != http.StatusOK {
		t.Errorf("active again at %s: status %d: %s", here, a.status, a.body)
	}

	// another secret
	var next string
	ended = n.untilClientRefused(t, there, id, secret, func() {
		next = shownSecret(t, n.manages(t, here, http.MethodPost, path+"/secret", ""))
		n.secret("a client secret", next)
	})
	n.isRefused(t, here, id, secret)
	if a := n.asks(t, here, id, next); a.status != http.StatusOK {
		t.Errorf("the new secret at %s: status %d: %s", here, a.status, a.body)
	}
	took = append(took, ended())

	// removed
	ended = n.untilClientRefused(t, there, id, next, func() { n.manages(t, here, http.MethodDelete, path, "") })
	n.isRefused(t, here, id, next)
	return append(took, ended())
}

// shownSecret is the secret of a client that was just made.
func shownSecret(t *testing.T, a answer) string {
	t.Helper()
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.Secret == "" {
		t.Fatalf("%v: %s", err, a.body)
	}
	return made.Secret
}

// asks has a client ask a node about a token that does not exist.
func (n *nodes) asks(t *testing.T, name, id, secret string) answer {
	return sendHTTP1(t, n.addr(name), call{
		method: http.MethodPost, target: "/introspect", host: n.host(name),
		lines: []string{"Content-Type: application/x-www-form-urlencoded"},
		body:  url.Values{"client_id": {id}, "client_secret": {secret}, "token": {"x"}}.Encode(),
	})
}

func (n *nodes) isRefused(t *testing.T, name, id, secret string) {
	t.Helper()
	if a := n.asks(t, name, id, secret); a.status != http.StatusUnauthorized {
		t.Errorf("at %s, where it was changed: status %d: %s", name, a.status, a.body)
	}
}

// manages orders something at the admin endpoint of a node.
func (n *nodes) manages(t *testing.T, name, method, target, body string) answer {
	t.Helper()
	admin := n.addr(name + "-admin")
	c := call{method: method, target: target, host: admin, body: body}
	if body != "" {
		c.lines = []string{"Content-Type: application/json"}
	}
	a := sendHTTP1(t, admin, c)
	if a.status/100 != 2 {
		t.Fatalf("%s %s: status %d: %s %v", method, target, a.status, a.body, a.broken)
	}
	return a
}

// untilClientRefused carries out a change while a node is asked without a pause. What it returns
// waits for the first refusal, and says how long after the order it came.
func (n *nodes) untilClientRefused(t *testing.T, name, id, secret string, change func()) func() time.Duration {
	eventually(t, 10*time.Second, func() string {
		if a := n.asks(t, name, id, secret); a.status != http.StatusOK {
			return fmt.Sprintf("at %s: status %d: %s", name, a.status, a.body)
		}
		return ""
	})
	refused := make(chan time.Time, 1)
	go func() {
		defer close(refused)
		for range 5000 {
			if a := n.asks(t, name, id, secret); a.status == http.StatusUnauthorized {
				refused <- time.Now()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	ordered := time.Now()
	change()
	return func() time.Duration {
		t.Helper()
		at, ok := <-refused
		took := at.Sub(ordered)
		if !ok || took > time.Second {
			t.Errorf("refused at %s: %v, after %v", name, ok, took)
		}
		return took
	}
}
