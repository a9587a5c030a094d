package integration

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// hostsNodeSite is what each node serves besides the server: applications on two more hosts.
const hostsNodeSite = `
	auth_server
}
http://wiki.localhost:{{port .Node}}, http://shop.localhost:{{port .Node}} {
	jwt_auth web {
		forward sub X-User-Id
	}
	respond "hello {header.X-User-Id}"
`

// TestOneSignInAcrossNodes: a sign-in that begins at one node is answered at another one, is used at the
// third, and ends at all of them.
func TestOneSignInAcrossNodes(t *testing.T) {
	database := pgtest.Server(t)
	n := &nodes{gateway: newGateway(t), database: database, names: []string{"a", "b", "c"}, all: map[string]*process{}}
	n.extra["Level"], n.extra["More"] = "DEBUG", ""
	n.secret("the sealing secret", goodSecret)
	env := []string{"TEST_STORE=" + database.URL(t), "TEST_SECRET=seal:" + goodSecret}
	auth := strings.Replace(nodeAuth, "{{.More}}",
		`return_to http://wiki.localhost:{{port "public"}} http://shop.localhost:{{port "public"}}`, 1)
	for _, name := range n.names {
		n.all[name] = n.startProcess(t, name, auth, hostsNodeSite, env...)
	}
	for _, name := range n.names {
		n.all[name].awaitReady(t)
	}

	v, node := newSurfer(t), "a"
	transport := v.client.Transport.(*http.Transport)
	transport.DisableKeepAlives = true
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialAgain(ctx, network, n.addr(node))
	}
	at := func(host, uri string) string {
		return strings.Replace(n.url("public"), "localhost", host, 1) + uri
	}

	// Begin at a; the answer comes to b.
	login, _ := v.follow(v.open(at("wiki.localhost", "/page?x=1")))
	posted := v.send(http.MethodPost, at("localhost", "/login"), v.loginForm(login, "alice", alicePassword),
		http.Header{"Origin": {at("localhost", "")}})
	callback := v.open(posted.location()).location()
	if !strings.HasPrefix(callback, at("wiki.localhost", "/.auth/callback?")) {
		t.Fatalf("sent to %s, then to %s", posted.location(), callback)
	}
	node = "b"
	if got := v.open(callback); got.location() != at("wiki.localhost", "/page?x=1") {
		t.Fatalf("status %d to %s: %s", got.status, got.location(), got.body)
	}

	// Use it at c, and the other application, without a question, with each step at another node.
	node = "c"
	if got := v.open(at("wiki.localhost", "/page?x=1")); got.body != "hello alice" {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	got := v.open(at("shop.localhost", "/"))
	for i := 0; i < 12 && got.location() != ""; i++ {
		node = n.names[i%3]
		got = v.open(got.location())
	}
	if got.body != "hello alice" {
		t.Fatalf("the shop: status %d: %s", got.status, got.body)
	}

	// Sign out at a.
	node = "a"
	since := time.Now()
	if got := v.send(http.MethodPost, at("shop.localhost", "/.auth/logout"), "x=1",
		http.Header{"Origin": {at("shop.localhost", "")}}); !strings.Contains(got.body, "You are signed out.") {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	for _, node = range []string{"b", "c"} {
		eventually(t, 10*time.Second, func() string {
			if got := v.open(at("wiki.localhost", "/")); got.status == http.StatusOK {
				return node + " lets the browser in"
			}
			return ""
		})
		if took := time.Since(since); took > 2*time.Second { // a second, and one for a busy machine
			t.Errorf("%s: out after %v", node, took)
		}
		if login, _ := v.follow(v.open(at("wiki.localhost", "/"))); !login.isLogin() {
			t.Errorf("%s: at %s: status %d: %s", node, login.at, login.status, login.body)
		}
	}
}
