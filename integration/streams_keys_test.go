package integration

import (
	"bytes"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// streamsOf opens a stream of each kind at a site.
func (g *gateway) streamsOf(t *testing.T, site, bearer string, lines ...string) []*opened {
	t.Helper()
	return []*opened{
		g.stream(t, site, "/ws", bearer, lines...),
		g.stream(t, site, "/events", bearer, append(slices.Clone(lines), eventStream)...),
	}
}

// sameOrigin is what a browser adds to a request of the site's own pages.
func (g *gateway) sameOrigin(site string, c cookies) []string {
	return append(c.lines(), "Origin: "+g.url(site), "Sec-Fetch-Site: same-origin")
}

// endTogether waits for the end of all streams, WebSockets with the close code, within a second of
// a moment.
func endTogether(t *testing.T, since time.Time, all []*opened) {
	t.Helper()
	for _, s := range all {
		if last := s.ends(t, 5*time.Second); strings.HasSuffix(s.name, "/ws") && !bytes.Equal(last, closeFrame) {
			t.Errorf("%s: the last words are %x", s.name, last)
		}
	}
	if took := time.Since(since); took > time.Second {
		t.Errorf("it took %v to end the streams", took)
	}
}

func live(t *testing.T, all []*opened) {
	t.Helper()
	for _, s := range all {
		s.lives(t, 50*time.Millisecond)
	}
}

// TestStreamsOfARevokedKey: an operator revokes a generated key, and all that its tokens opened
// ends, sessions included; a browser opens its streams again with the session that it has. Streams
// of an earlier configuration end as well.
func TestStreamsOfARevokedKey(t *testing.T) {
	g, app := newGateway(t), newStreamer(t)
	g.extra["Streams"] = app.Listener.Addr().String()
	reload := g.operated(t, generatedAuth, streamSites)
	admin := g.addr("admin")
	order := func(method, target string) {
		t.Helper()
		if a := sendHTTP1(t, admin, call{method: method, target: "/auth/api/" +
			target, host: admin}); a.status >= 300 || a.broken != nil {
			t.Fatalf("%s %s: status %d: %s %v", method, target, a.status, a.body, a.broken)
		}
	}
	held, token := g.signIn(t, "alice", alicePassword), g.login(t, "alice", alicePassword)
	old := slices.Concat(g.streamsOf(t, "both", "", g.sameOrigin("both", held)...), g.streamsOf(t, "api", token),
		[]*opened{g.stream(t, "api", "/drip", token)})
	left := g.stream(t, "left", "/ws", token)
	order(http.MethodPost, "keys/rotate")
	live(t, old)
	revoked := time.Now()
	order(http.MethodDelete, "keys/"+signedWith(t, token))
	endTogether(t, revoked, old)
	if !strings.Contains(g.log(), `"msg":"a stream was ended","reason":"unknown_key"`) {
		t.Error("the log does not say why the streams were ended")
	}
	left.lives(t, 50*time.Millisecond)
	left.conn.Close()

	token = g.login(t, "bob", bobPassword)
	again := append(g.streamsOf(t, "both", "", g.sameOrigin("both", held)...), g.streamsOf(t, "api", token)...)
	for range 3 {
		reload()
	}
	live(t, again)
	revoked = time.Now()
	order(http.MethodDelete, "keys/"+signedWith(t, token))
	endTogether(t, revoked, again)
	app.closed(t)
}

// TestStreamsOfAKeyThatLeftTheConfiguration: a reload ends what a key has let in that it takes
// away, or an issuer that is trusted no more. One that is refused ends nothing.
func TestStreamsOfAKeyThatLeftTheConfiguration(t *testing.T) {
	f := newForeignIssuer(t)
	g, app := newGateway(t), newStreamer(t)
	g.extra["Streams"] = app.Listener.Addr().String()
	foreign := "{{url \"foreign\"}} {\n\tjwt_auth api {\n\t\tissuer " + f.issuer("/good") + "\n\t}\n\timport app\n}\n"
	all := withTrust(f.trust("/good"))
	less := strings.Replace(standardAuth, `file es1 "{{keyfile "es1"}}"`, "", 1)
	g.loadPatiently(all, streamSites+foreign)
	stay := g.streamsOf(t, "api", g.tokens.mint("hs1", "alice", nil))
	gone := slices.Concat(g.streamsOf(t, "api", g.tokens.mint("es1", "alice", nil)),
		g.streamsOf(t, "foreign", f.mint(g.tokens, "/good", "f-rs")))

	taken, err := net.Listen("tcp", g.addr("taken"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := g.tryLoad(less, streamSites+"{{url \"taken\"}} {\n\trespond ok\n}\n"); err == nil {
		t.Fatal("a server began at an address that is in use")
	}
	time.Sleep(1200 * time.Millisecond) // past the next look
	live(t, slices.Concat(stay, gone))
	g.loadPatiently(all, streamSites+foreign)
	live(t, slices.Concat(stay, gone))

	g.loadPatiently(less, streamSites)
	endTogether(t, time.Now(), gone)
	live(t, stay)
	for _, s := range stay {
		s.conn.Close()
	}
	app.closed(t)
}

// TestNodesEndStreamsOfARevokedKey: a key that is revoked at one node ends streams at all of them
// within a second.
func TestNodesEndStreamsOfARevokedKey(t *testing.T) {
	app := newStreamer(t)
	n := startNodesWith(t, "\tauth_server\n\tjwt_auth web api\n\treverse_proxy {{.Streams}}\n",
		map[string]any{"Streams": app.Listener.Addr().String()})
	held := n.signedIn(t, "a", "10.9.0.1")
	var all []*opened
	for _, name := range n.names {
		all = slices.Concat(all, n.streamsOf(t, name, held.access),
			n.streamsOf(t, name, "", n.sameOrigin(name, cookies{access: held.access})...))
	}
	live(t, all)
	revoked := time.Now()
	if a := n.order(t, "b", http.MethodDelete, "keys/"+signedWith(t, held.access)); a.status != http.StatusNoContent {
		t.Fatalf("status %d: %s %v", a.status, a.body, a.broken)
	}
	endTogether(t, revoked, all)
	app.closed(t)
}
