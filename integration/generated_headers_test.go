package integration

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestGeneratedHeaders sends ten thousand requests whose header names, Connection options, trailers
// and upgrades are put together at random, the same ones in every run. What the application
// receives is read as the most careless one would: it is told who asks by the gates alone, and is
// never asked for an upgrade but a lone WebSocket.
func TestGeneratedHeaders(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+generatedSite)
	tokens := map[string]string{
		"bob":   g.tokens.mint("es1", "bob", map[string]any{"role": "viewer"}),
		"alice": g.tokens.mint("es1", "alice", map[string]any{"role": "admin"}),
	}
	client := &keptClient{t: t, addr: g.addr("generated")}
	defer client.close()
	var count struct{ arrived, kept, sockets, trailers int }
	made := &headerMaker{rand.New(rand.NewPCG(8, 20_000))}
	for i := range 10_000 {
		who, target := made.one("", "bob", "alice"), made.one("/public/x", "/public/x", "/users", "/admin")
		c := made.call(target, g.host("generated"))
		if who != "" {
			c.lines = append(c.lines, "Authorization: Bearer "+tokens[who])
		}
		client.send(c)
		for _, s := range g.proxy.take() {
			checkHeaders(t, i, c, s, who)
			count.arrived++
			count.kept += len(s.values("x-kept-it"))
			count.sockets += len(s.values("upgrade"))
			count.trailers += len(s.trailers)
		}
	}
	t.Logf("%+v", count)
	if count.arrived < 5000 || count.kept < 1000 || count.sockets < 100 || count.trailers < 100 {
		t.Errorf("%+v: the test shows nothing", count)
	}
}

// checkHeaders holds what an application received against what the gates have agreed to.
func checkHeaders(t *testing.T, i int, c call, s sighting, who string) {
	t.Helper()
	var want, got []string
	if c.target != "/public/x" {
		want = append(want, "x-user-id: "+who)
	}
	if c.target == "/admin" {
		want = append(want, "x-user-role: admin")
	}
	for _, line := range slices.Concat(s.headers, s.trailers) {
		name, value, _ := strings.Cut(line, ":")
		switch name = fold(name); name {
		case "x-user-id", "x-user-role":
			got = append(got, name+":"+value)
		case "http2-settings":
			t.Errorf("%d: %q: the application saw %q", i, c.text(), line)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%d: %q: the application saw %q, want %q", i, c.text(), got, want)
	}
	upgrades, connection := s.values("upgrade"), s.values("connection")
	if lone := loneSocket(c); lone && !slices.Equal(upgrades, []string{"websocket"}) || !lone && len(upgrades) > 0 {
		t.Errorf("%d: %q: the application saw Upgrade %q", i, c.text(), upgrades)
	}
	if len(connection) > 0 && (len(upgrades) == 0 || !slices.Equal(connection, []string{"Upgrade"})) {
		t.Errorf("%d: %q: the application saw Connection %q", i, c.text(), connection)
	}
}

// loneSocket reports whether a call asks for a WebSocket as RFC 6455 says, and for nothing else.
func loneSocket(c call) bool {
	var upgrades []string
	asks := false
	for _, line := range c.lines {
		name, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "upgrade":
			upgrades = append(upgrades, strings.ToLower(strings.Trim(value, " \t")))
		case "connection":
			for option := range strings.SplitSeq(value, ",") {
				asks = asks || strings.EqualFold(strings.Trim(option, " \t"), "upgrade")
			}
		}
	}
	return asks && c.method == http.MethodGet && slices.Equal(upgrades, []string{"websocket"})
}

// headerMaker puts headers together from what gateways were passed by.
type headerMaker struct{ *rand.Rand }

func (m *headerMaker) one(of ...string) string { return of[m.IntN(len(of))] }

// spelled writes a name in some case and with some character in place of each `-`. The two that
// Caddy itself takes for underscores are rare, since it drops such a header before any gate.
func (m *headerMaker) spelled(name string) string {
	var b strings.Builder
	other := tokenCharacters[m.IntN(len(tokenCharacters))]
	for _, c := range []byte(name) {
		switch {
		case c == '-' && m.IntN(3) > 0:
			b.WriteByte(other)
		case c == '-' && m.IntN(3) > 0:
			b.WriteByte(tokenCharacters[m.IntN(len(tokenCharacters))])
		case m.IntN(2) == 0:
			b.WriteString(strings.ToUpper(string(c)))
		default:
			b.WriteString(strings.ToLower(string(c)))
		}
	}
	return b.String()
}

func (m *headerMaker) call(target, host string) call {
	c := call{method: m.one("GET", "GET", "GET", "POST", "OPTIONS", "DELETE"), target: target, host: host}
	for range m.IntN(4) {
		c.lines = append(c.lines,
			m.spelled(m.one("X-User-Id", "X-User-Role", "X-Kept-It", "HTTP2-Settings"))+":"+m.one("", " ", "\t")+
				m.one("eve", "root", ""))
	}
	if m.IntN(3) > 0 {
		for range 1 + m.IntN(3)*m.IntN(2) {
			c.lines = append(c.lines, m.spelled("Upgrade")+":"+m.upgrade())
		}
	}
	for range m.IntN(3) {
		c.lines = append(c.lines, m.spelled("Connection")+":"+m.options())
	}
	if c.method != "GET" && m.IntN(2) == 0 {
		c.body = "x"
		for range m.IntN(4) {
			c.trailers = append(c.trailers, m.spelled(m.one("X-User-Id", "X-User-Role", "X-Kept-It"))+": root")
		}
		if len(c.trailers) > 0 && m.IntN(2) == 0 {
			c.announced = m.spelled("X-User-Id") + ", " + m.spelled("X-Kept-It")
		}
	}
	m.Shuffle(len(c.lines), func(i, j int) { c.lines[i], c.lines[j] = c.lines[j], c.lines[i] })
	return c
}

// upgrade is the value of an Upgrade line: mostly one protocol, sometimes a list.
func (m *headerMaker) upgrade() string {
	value := m.one("", " ", "\t")
	for i := range 1 + m.IntN(2)*m.IntN(4) {
		if i > 0 {
			value += m.one(",", ", ", ",\t", ",,", " ", ";")
		}
		value += m.one("websocket", "websocket", "WebSocket", "websocket", "h2c", "H2C", "h2c/1", "h2c-14", "h2",
			"HTTP/2.0", "TLS/1.2", "tcp", "websocket/13", "", `"websocket"`)
	}
	return value + m.one("", "", " ")
}

func (m *headerMaker) options() string {
	value := m.one("", " ", "\t")
	for i := range 1 + m.IntN(4) {
		if i > 0 {
			value += m.one(",", ", ", " ,\t", ",,")
		}
		value += m.one("Upgrade", "upgrade", "UPGRADE", "keep-alive", m.spelled("X-User-Id"), m.spelled("X-User-Role"),
			m.spelled("HTTP2-Settings"), "")
	}
	return value
}
