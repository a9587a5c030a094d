package gate

import (
	"maps"
	"net/http"
	"slices"
	"testing"
)

func TestUpgradesThatCarryHTTPCannotBeNamed(t *testing.T) {
	for _, c := range []struct {
		protocol string
		fine     bool
	}{
		{"tcp", true}, {"SPDY/3.1", true}, {"tus-resumable", true}, {"IRC/6.9", true}, {"connect-udp", true},
		{"h2c", false}, {"H2C", false}, {"h2", false}, {"h2c-14", false}, {"h2c/1", false}, {"HTTP/2.0", false},
		{"http", false}, {"TLS/1.2", false}, {"tls", false}, {"h3", false}, {"websocket", false}, {"", false},
		{"tcp,h2c", false}, {"tcp h2c", false}, {"tcp/", false}, {"/1", false}, {"tcp/1/2", false}, {"t\u212a", false},
	} {
		if err := CheckUpgrade(c.protocol); (err == nil) != c.fine {
			t.Errorf("%q: %v", c.protocol, err)
		}
	}
}

// TestUpgradeInRawKeys: other middleware may have left keys that net/http would not.
func TestUpgradeInRawKeys(t *testing.T) {
	w := newTokenFixture(t)
	g := w.gate(t, func(g *Gate) { g.Mode = Optional })
	for _, c := range []struct {
		name       string
		send, want http.Header
	}{
		{
			"lower case", http.Header{"upgrade": {"h2c"}, "connection": {"upgrade"}, "http2-settings": {"x"}},
			http.Header{},
		},
		{"beside a WebSocket", http.Header{"Upgrade": {"websocket"}, "upgrade": {"h2c"}, "Connection": {"Upgrade"}},
			http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}},
		{
			"folded settings", http.Header{"Http2_settings": {"x"}, "Connection": {"close, HTTP2+Settings"}},
			http.Header{"Connection": {"close"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(func(r *http.Request) { maps.Copy(r.Header, c.send) })
			if _, err := g.Admit(r, nil, now); err != nil {
				t.Fatal(err)
			}
			if !maps.EqualFunc(r.Header, c.want, slices.Equal) {
				t.Errorf("the application sees %v, want %v", r.Header, c.want)
			}
		})
	}
}

// TestUpgradeByOtherVersions: HTTP/1.0 knows none (RFC 9110, section 7.8), and HTTP/2 and HTTP/3
// have extended CONNECT instead.
func TestUpgradeByOtherVersions(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(r *http.Request)
		left   bool
	}{
		{"1.1", func(*http.Request) {}, true},
		{"1.0", func(r *http.Request) { r.ProtoMinor = 0 }, false},
		{"2", func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 2, 0 }, false},
		{"3", func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 3, 0 }, false},
		{"CONNECT", func(r *http.Request) { r.Method = http.MethodConnect }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(func(r *http.Request) {
				r.Header["Upgrade"], r.Header["Connection"] = []string{"websocket"}, []string{"Upgrade"}
			})
			c.change(r)
			new(Owned).Strip(r, nil)
			if left := len(r.Header["Upgrade"]) > 0; left != c.left || left != (len(r.Header["Connection"]) > 0) {
				t.Errorf("left are %v", r.Header)
			}
		})
	}
}

func TestExtendedConnectIsForWebSocketsOnly(t *testing.T) {
	for _, c := range []struct {
		name     string
		major    int
		proto    string
		protocol []string
		left     bool
	}{
		{"HTTP/2 websocket", 2, "HTTP/2.0", []string{"websocket"}, true},
		{"HTTP/2 connect-udp", 2, "HTTP/2.0", []string{"connect-udp"}, false},
		{"HTTP/2 twice", 2, "HTTP/2.0", []string{"websocket", "h2c"}, false},
		{"HTTP/1.1", 1, "HTTP/1.1", []string{"websocket"}, false},
		{"HTTP/3 websocket", 3, "websocket", nil, true},
		{"HTTP/3 connect-udp", 3, "connect-udp", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(func(r *http.Request) {
				r.Method, r.ProtoMajor, r.Proto = http.MethodConnect, c.major, c.proto
				if c.protocol != nil {
					r.Header[":protocol"] = c.protocol
				}
			})
			new(Owned).Strip(r, nil)
			if left := len(r.Header[":protocol"]) > 0 || r.Proto == c.proto && c.major == 3; left != c.left {
				t.Errorf("left are %q and %v", r.Proto, r.Header)
			}
		})
	}
}
