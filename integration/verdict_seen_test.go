package integration

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
)

// startSeen runs the proxy in front of an application that remembers what it gets.
func (p otherProxy) startSeen(t *testing.T) *gateway {
	t.Helper()
	p.require(t)
	g := newGateway(t)
	g.extra["Upstream"] = g.proxy.addr()
	p.loadFor(t, g, "localhost", `{{url "front"}}/auth`)
	g.proxy.take()
	return g
}

// remoteUserNames are names that one application or another takes for X-Remote-User.
func remoteUserNames() (all []string) {
	for _, first := range "-_.!#$%&'*+^`|~" {
		for _, second := range "-_.!~" {
			all = append(all, fmt.Sprintf("X%cRemote%cUser", first, second))
		}
	}
	return append(all, "x-remote-user", "X-REMOTE-USER", "x_remote_user")
}

// TestWhatArrivesBehindOtherProxies: applications see what the gate says and what the client sent, but
// no credential of the session, nothing that was forged, and nothing that is meant for the proxy.
func TestWhatArrivesBehindOtherProxies(t *testing.T) {
	for _, p := range otherProxies {
		t.Run(p.name, func(t *testing.T) {
			g := p.startSeen(t)
			t.Run("names", func(t *testing.T) { g.checkNamesBehind(t) })
			t.Run("absent", func(t *testing.T) { g.checkAbsentBehind(t, p.empty) })
			t.Run("websocket", func(t *testing.T) { g.checkWebSocketBehind(t) })
			t.Run("requests", func(t *testing.T) { g.checkRequestsBehind(t) })
			t.Run("paths", func(t *testing.T) { g.checkPathsBehind(t) })
			t.Run("targets", func(t *testing.T) { g.checkTargetsBehind(t) })
		})
	}
}

// bearer is the Authorization line of a person who signed in at the application's host.
func (g *gateway) bearer(name string) string {
	return "Authorization: Bearer " + g.tokens.mint("es1", name, map[string]any{"iss": g.url("front") + "/auth"})
}

// checkNamesBehind forges the identity header in all spellings, one per request, and all together.
func (g *gateway) checkNamesBehind(t *testing.T) {
	together := []string{}
	for _, name := range remoteUserNames() {
		together = append(together, name+": alice")
	}
	for _, c := range []struct {
		name  string
		who   []string
		wants string
	}{
		{"bob", []string{g.bearer("bob")}, "bob"},
		{"nobody", []string{"X-Open: yes"}, ""},
		{"bob where anybody may pass", []string{"X-Open: yes", g.bearer("bob")}, "bob"},
	} {
		tries := [][]string{together}
		for _, line := range together {
			tries = append(tries, []string{line}, []string{line, "Connection: close, X-Remote-User"})
		}
		arrived := 0
		for _, forged := range tries {
			sent := slices.Concat(c.who, forged)
			got := sendHTTP1(t, g.addr("front"), call{target: "/x", host: g.host("front"), lines: sent})
			seen := g.proxy.take()
			if got.status != http.StatusOK && len(seen) == 0 {
				continue // the proxy does not take such a name
			}
			if len(seen) != 1 {
				t.Fatalf("%s with %.80q: status %d, %d requests arrived", c.name, forged, got.status, len(seen))
			}
			arrived++
			values := slices.DeleteFunc(seen[0].values("x-remote-user"), func(v string) bool { return v == "" })
			if c.wants == "" && len(values) > 0 || c.wants != "" && !slices.Equal(values, []string{c.wants}) {
				t.Errorf("%s with %.80q: the application sees %q, want %q", c.name, forged, values, c.wants)
			}
		}
		if arrived == 0 {
			t.Errorf("%s: no request arrived", c.name)
		}
	}
}

// checkAbsentBehind asks as nobody: what the gate says nothing about is empty at some proxies, and not
// there at the others.
func (g *gateway) checkAbsentBehind(t *testing.T, empty bool) {
	want := []string(nil)
	if empty {
		want = []string{""}
	}
	for _, more := range [][]string{nil, {"X-Remote-User: alice", "X-Remote-User: bob"}} {
		lines := append([]string{"X-Open: yes"}, more...)
		got := sendHTTP1(t, g.addr("front"), call{target: "/x", host: g.host("front"), lines: lines})
		seen := g.proxy.take()
		if got.status != http.StatusOK || len(seen) != 1 {
			t.Fatalf("status %d, %d requests arrived", got.status, len(seen))
		}
		if values := seen[0].values("x-remote-user"); !slices.Equal(values, want) {
			t.Errorf("with %q the application sees %q, want %q", more, values, want)
		}
	}
}

// checkWebSocketBehind opens a WebSocket, which the proxy asks about like about other requests.
func (g *gateway) checkWebSocketBehind(t *testing.T) {
	upgrade := []string{
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
	sendHTTP1(t, g.addr("front"), call{target: "/x", host: g.host("front"), lines: upgrade})
	if seen := g.proxy.take(); len(seen) != 0 {
		t.Errorf("nobody opened a WebSocket: %s", seen[0].raw)
	}
	lines := append(upgrade, g.bearer("bob"))
	sendHTTP1(t, g.addr("front"), call{target: "/x", host: g.host("front"), lines: lines})
	seen := g.proxy.take()
	if len(seen) != 1 || !slices.Equal(seen[0].values("x-remote-user"), []string{"bob"}) {
		t.Errorf("bob's WebSocket: %+v", seen)
	}
}

// checkRequestsBehind looks at what else of a request arrives.
func (g *gateway) checkRequestsBehind(t *testing.T) {
	session := strings.TrimPrefix(g.bearer("bob"), "Authorization: Bearer ")
	body := strings.Repeat("a body\n", 1000)
	post := func(credentials ...string) answer {
		return sendHTTP1(t, g.addr("front"), call{
			method: "POST", target: "/a%20b?x=%2F&y", host: g.host("front"), body: body,
			lines: append(credentials,
				"X-Auth-Set-Cookie-1: theme=evil", "X-Auth-Set-Cookie-3: theme=evil", "Accept: text/plain",
				"Origin: "+g.url("front"), "Content-Type: text/plain", "X-Own: 1", "X-Own: 2"),
		})
	}
	got := post(g.bearer("bob"), "Cookie: theme=dark; access_token="+session+"; refresh_token=x; lang=en")
	seen := g.proxy.take()
	if got.status != http.StatusBadRequest && got.status != http.StatusForbidden || len(seen) > 0 {
		t.Errorf("two credentials: status %d, %d arrived", got.status, len(seen))
	}
	got = post("Cookie: theme=dark; access_token=" + session + "; lang=en")
	seen = g.proxy.take()
	if got.status != http.StatusOK || len(seen) != 1 {
		t.Fatalf("status %d: %s, %d requests arrived", got.status, got.body, len(seen))
	}
	s := seen[0]
	if s.method != "POST" || s.target != "/a%20b?x=%2F&y" || s.body != body {
		t.Errorf("the application got %s %s and a body of %d bytes", s.method, s.target, len(s.body))
	}
	if cookies := strings.Join(s.values("cookie"), "; "); cookies != "theme=dark; lang=en" {
		t.Errorf("the application sees the cookies %q", cookies)
	}
	if strings.Contains(s.raw, session) {
		t.Errorf("the application sees the session:\n%s", s.raw)
	}
	for _, name := range []string{"authorization", "dpop"} {
		if values := strings.Join(s.values(name), ""); values != "" {
			t.Errorf("%s: %q", name, values)
		}
	}
	if own := strings.ReplaceAll(strings.Join(s.values("x-own"), ","), ", ", ","); own != "1,2" {
		t.Errorf("X-Own: %q", own)
	}
	if set := got.header.Values("Set-Cookie"); len(set) > 0 {
		t.Errorf("the client had Set-Cookie answered: %q", set)
	}
}

// checkPathsBehind asks for a path that is not for bob, in all spellings: whatever arrives at the
// application must not be it.
func (g *gateway) checkPathsBehind(t *testing.T) {
	bob := g.bearer("bob")
	got := sendHTTP1(t, g.addr("front"), call{target: "/x", host: g.host("front"), lines: []string{bob}})
	if seen := g.proxy.take(); got.status != http.StatusOK || len(seen) != 1 {
		t.Fatalf("an open path: status %d, %d requests arrived", got.status, len(seen))
	}
	for _, target := range []string{
		"/denied", "/denied/x", "/denied?x", "/denied;x", "/denied/", "/./denied", "//denied", "/x/../denied",
		"/x/..//denied", "/%64enied", "/%2564enied", "/x/%2e%2e/denied", "/x/%2e./denied", "/x%2f..%2fdenied",
		"/x/..%2fdenied",
		"/x/..%252fdenied", `/x\..\denied`, "/x/..%5cdenied", "/x/..;/denied", "/x/.;y/../denied", "/auth/../denied",
		"/.auth/../denied", "/.auth/..%2fdenied", "/auth/%2e%2e/denied", "/auth/..;/denied", "/denied#",
		"/x#/../denied",
		"/denied%00", "/denied%20", "/denied%09", "/denied.", "/%c0%ae%c0%ae/denied", "/\x01/../denied",
	} {
		for _, host := range []string{"", "http://" + g.host("front"), "http://evil.example"} {
			got := sendHTTP1(t, g.addr("front"),
				call{target: host + target, host: g.host("front"), lines: []string{bob}})
			for _, s := range g.proxy.take() {
				for _, reading := range readings(s.target) {
					if strings.HasPrefix(reading, "/denied") {
						t.Errorf("%s%s: status %d; %s arrived, which may be read as %s", host, target, got.status,
							s.target, reading)
					}
				}
			}
		}
	}
}

// readings are the paths that applications may take a target for.
func readings(target string) (all []string) {
	if _, rest, found := strings.Cut(target, "://"); found {
		_, target, _ = strings.Cut(rest, "/")
		target = "/" + target
	}
	target, _, _ = strings.Cut(target, "?")
	for range 2 {
		all = append(all, path.Clean(target), path.Clean(strings.ReplaceAll(target, `\`, "/")))
		cut, _, _ := strings.Cut(target, "#")
		all = append(all, path.Clean(cut))
		decoded, err := url.PathUnescape(target)
		if err != nil {
			break
		}
		target = decoded
	}
	return all
}

// checkTargetsBehind sends what no browser does. Nothing of it may reach the application as somebody.
func (g *gateway) checkTargetsBehind(t *testing.T) {
	bob, host := g.bearer("bob"), "Host: "+g.host("front")
	for _, c := range []struct {
		name  string
		lines []string
	}{
		{"no host", []string{"GET /x HTTP/1.0", bob}},
		{"an empty host", []string{"GET /x HTTP/1.1", "Host:", bob}},
		{"two hosts", []string{"GET /x HTTP/1.1", host, "Host: evil.example", bob}},
		{"a list of hosts", []string{"GET /x HTTP/1.1", "Host: " + g.host("front") + ", evil.example", bob}},
		{"a person and a host", []string{"GET /x HTTP/1.1", "Host: x@" + g.host("front"), bob}},
		{"a fragment", []string{"GET /x#y HTTP/1.1", host, bob}},
		{"a method of its own", []string{"G,ET /x HTTP/1.1", host, bob}},
		{"CONNECT", []string{"CONNECT " + g.host("front") + " HTTP/1.1", host, bob}},
		{"OPTIONS *", []string{"OPTIONS * HTTP/1.1", host, bob}},
		{"an upgrade to HTTP/2", []string{
			"GET /x HTTP/1.1", host, bob, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
			"HTTP2-Settings: AAMAAABk",
		}},
		{"two credentials", []string{"GET /x HTTP/1.1", host, bob, g.bearer("alice")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status := g.sendLines(t, c.lines)
			for _, s := range g.proxy.take() {
				switch {
				case c.name == "an upgrade to HTTP/2" && len(s.values("upgrade")) == 0:
				case c.name == "a fragment" && s.target == "/x%23y": // it is none any more
				case (c.name == "no host" || c.name == "a person and a host") &&
					slices.Equal(s.values("host"), []string{g.host("front")}): // asked about by its own name
				default:
					t.Errorf("status %d, and this arrived:\n%s", status, s.raw)
				}
			}
		})
	}
}

// sendLines sends a request as it is written, and returns the status; 0 when the connection was closed.
func (g *gateway) sendLines(t *testing.T, lines []string) int {
	t.Helper()
	conn := mustDial(t, g.addr("front"))
	defer conn.Close()
	io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}
