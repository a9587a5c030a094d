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

// hostsNodeSite is what each node serves besides the server: applications on two more hosts, with streams.
const hostsNodeSite = `
	auth_server
}
http://wiki.localhost:{{port .Node}}, http://shop.localhost:{{port .Node}} {
	jwt_auth web {
		forward sub X-User-Id
	}
	reverse_proxy /ws {{.Streams}}
	reverse_proxy /events {{.Streams}}
	respond "hello {header.X-User-Id}"
`

// hostsNodes are three servers on one PostgreSQL, and a browser whose requests come to one of them.
type hostsNodes struct {
	*nodes
	v    *surfer
	node string // that answers the browser
}

func newHostsNodes(t *testing.T) *hostsNodes {
	t.Helper()
	database := pgtest.Server(t)
	n := &hostsNodes{nodes: &nodes{gateway: newGateway(t), database: database, names: []string{"a", "b", "c"},
		all: map[string]*process{}}}
	n.extra["Level"], n.extra["More"], n.extra["Streams"] = "DEBUG", "", newStreamer(t).Listener.Addr().String()
	n.secret("the sealing secret", goodSecret)
	n.env = []string{"TEST_STORE=" + database.URL(t), "TEST_SECRET=seal:" + goodSecret}
	auth := strings.Replace(nodeAuth, "{{.More}}",
		`return_to http://wiki.localhost:{{port "public"}} http://shop.localhost:{{port "public"}}`, 1)
	for _, name := range n.names {
		n.all[name] = n.startProcess(t, name, auth, hostsNodeSite, n.env...)
	}
	for _, name := range n.names {
		n.all[name].awaitReady(t)
	}
	return n
}

// newBrowser is another browser. It asks the node that n.node names, with each request anew.
func (n *hostsNodes) newBrowser(t *testing.T) {
	t.Helper()
	n.v, n.node = newSurfer(t), "a"
	transport := n.v.client.Transport.(*http.Transport)
	transport.DisableKeepAlives = true
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialAgain(ctx, network, n.addr(n.node))
	}
}

// page is an address as browsers have it, whatever node answers.
func (n *hostsNodes) page(host, uri string) string {
	return strings.Replace(n.url("public"), "localhost", host, 1) + uri
}

// TestOneSignInAcrossNodes: a sign-in that begins at one node is answered at another one, is used at the
// third, and ends at all of them, whatever happens to a node meanwhile.
func TestOneSignInAcrossNodes(t *testing.T) {
	n := newHostsNodes(t)
	for _, c := range []struct {
		name string
		// toLogin and toCallback happen before the password is sent, and before the answer is taken to the
		// application. The node that answers next may change.
		toLogin, toCallback, afterwards func(t *testing.T)
	}{
		{"each step at another node", nil, n.answersAt("b"), nil},
		{"the node that began is killed before the password", n.kills("a", "b"), nil, n.starts("a")},
		{"the node that began is killed before the answer", nil, n.kills("a", "b"), n.starts("a")},
		{"the node of the answer is reloaded before it", n.answersAt("b"), n.reloads("b"), nil},
		{"all nodes are reloaded, and one is killed", n.reloads("a", "b", "c"), n.kills("b", "c"), n.starts("b")},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range n.names { // one may have been left dead by a row that failed
				if !n.all[name].lives() {
					n.starts(name)(t)
				}
			}
			n.newBrowser(t)
			n.signIn(t, c.toLogin, c.toCallback)
			if c.afterwards != nil {
				c.afterwards(t)
			}
			n.use(t)
			n.signOut(t)
		})
	}
}

// answersAt lets a node answer from now on.
func (n *hostsNodes) answersAt(name string) func(*testing.T) {
	return func(*testing.T) { n.node = name }
}

// kills ends a node without a word, and lets another one answer.
func (n *hostsNodes) kills(name, next string) func(*testing.T) {
	return func(t *testing.T) {
		n.all[name].kill(t)
		n.node = next
	}
}

func (n *hostsNodes) starts(name string) func(*testing.T) {
	return func(t *testing.T) {
		n.all[name].start(t)
		n.all[name].awaitReady(t)
	}
}

// reloads loads the configuration of nodes again. The last one answers then.
func (n *hostsNodes) reloads(names ...string) func(*testing.T) {
	return func(t *testing.T) {
		for _, name := range names {
			n.all[name].reload(t, n.env, "--force")
			n.node = name
		}
	}
}

// signIn goes from the wiki to the sign-in page and back.
func (n *hostsNodes) signIn(t *testing.T, toLogin, toCallback func(*testing.T)) {
	t.Helper()
	wanted := n.page("wiki.localhost", "/page?x=1&y=%2F")
	login, way := n.v.follow(n.v.open(wanted))
	if !login.isLogin() {
		t.Fatalf("at %s: status %d: %s\n%s", login.at, login.status, login.body, strings.Join(way, "\n"))
	}
	if toLogin != nil {
		toLogin(t)
	}
	posted := n.v.submit(n.page("localhost", ""), "/login", n.v.loginForm(login, "alice", alicePassword))
	callback := n.v.open(posted.location()).location()
	if !strings.HasPrefix(callback, n.page("wiki.localhost", "/.auth/callback?")) {
		t.Fatalf("sent to %s, then to %s", posted.location(), callback)
	}
	if toCallback != nil {
		toCallback(t)
	}
	if got := n.v.open(callback); got.location() != wanted {
		t.Fatalf("status %d to %s: %s", got.status, got.location(), got.body)
	}
}

// use visits both applications at all nodes. The second asks nothing, although each step of its sign-in
// comes to another node.
func (n *hostsNodes) use(t *testing.T) {
	t.Helper()
	for _, n.node = range n.names {
		if got := n.v.open(n.page("wiki.localhost", "/page?x=1")); got.body != "hello alice" {
			t.Fatalf("the wiki at %s: status %d: %s", n.node, got.status, got.body)
		}
	}
	n.node = "c"
	got := n.v.open(n.page("shop.localhost", "/"))
	for i := 0; i < 12 && got.location() != ""; i++ {
		n.node = n.names[i%3]
		got = n.v.open(got.location())
	}
	if got.body != "hello alice" {
		t.Fatalf("the shop: status %d: %s", got.status, got.body)
	}
}

// signOut signs out at a, and what is open at any node ends.
func (n *hostsNodes) signOut(t *testing.T) {
	t.Helper()
	var streams []hostStream
	for _, n.node = range n.names {
		streams = append(streams, n.v.listenAt(n.page("wiki.localhost", ""), true),
			n.v.listenAt(n.page("shop.localhost", ""), false))
	}
	n.node = "a"
	since := time.Now()
	got := n.v.submit(n.page("shop.localhost", ""), "/.auth/logout", "x=1")
	if !strings.Contains(got.body, "You are signed out.") {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	for _, stream := range streams {
		stream.endsSoon(t, since)
	}
	for _, n.node = range []string{"b", "c"} {
		eventually(t, 10*time.Second, func() string {
			if got := n.v.open(n.page("wiki.localhost", "/")); got.status == http.StatusOK {
				return n.node + " lets the browser in"
			}
			return ""
		})
		if took := time.Since(since); took > 2*time.Second { // a second, and one for a busy machine
			t.Errorf("%s: out after %v", n.node, took)
		}
		if login, _ := n.v.follow(n.v.open(n.page("wiki.localhost", "/"))); !login.isLogin() {
			t.Errorf("%s: at %s: status %d: %s", n.node, login.at, login.status, login.body)
		}
	}
}
