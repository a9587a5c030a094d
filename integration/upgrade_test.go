package integration

import (
	"slices"
)

// h2c is what a client sends that wants to speak HTTP/2 in the clear (RFC 7540, section 3.2).
var h2c = []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"}

// noUpgrade are the names of which the application must see nothing.
var noUpgrade = []string{"upgrade", "http2-settings", "connection"}

// askSocket opens a WebSocket (RFC 6455, section 4.1).
var askSocket = []string{
	"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
	"Sec-WebSocket-Version: 13",
}

// otherUpgrades are lines which must not reach an application as an upgrade.
var otherUpgrades = []struct {
	name  string
	lines []string
}{
	{"h2c", h2c},
	{
		"h2c in other case",
		lines("connection: uPGRADE, http2-sETTINGS", "upgrade: H2C", "http2-settings: AAMAAABkAAQAAP__"),
	},
	{"h2c without its settings", lines("Connection: Upgrade", "Upgrade: h2c")},
	{"h2c with a version", lines("Connection: Upgrade", "Upgrade: h2c/1")},
	{"h2c by its draft", lines("Connection: Upgrade", "Upgrade: h2c-14")},
	{"h2c in a list", lines("Connection: Upgrade", "Upgrade: h2c, websocket")},
	{"h2c at the end of a list", lines("Connection: Upgrade", "Upgrade: websocket,h2c")},
	{"h2c after empty elements", lines("Connection: Upgrade", "Upgrade: , ,h2c")},
	{"h2c between tabs", lines("Connection: \tUpgrade\t", "Upgrade: \th2c\t")},
	{"h2c on a second line", lines("Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c")},
	{"h2c on the first line", lines("Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket")},
	{"websocket twice", lines("Connection: Upgrade", "Upgrade: websocket", "Upgrade: websocket")},
	{"websocket in a list", lines("Connection: Upgrade", "Upgrade: websocket, websocket")},
	{"websocket with a version", lines("Connection: Upgrade", "Upgrade: websocket/13")},
	{"websocket after an empty element", lines("Connection: Upgrade", "Upgrade: ,websocket")},
	{"websocket with a comma", lines("Connection: Upgrade", "Upgrade: websocket,")},
	{"websocket spelled with a Kelvin sign", lines("Connection: Upgrade", "Upgrade: websoc\u212aet")},
	{"an empty line", lines("Connection: Upgrade", "Upgrade:")},
	{"an empty line before h2c", lines("Connection: Upgrade", "Upgrade:", "Upgrade: h2c")},
	{"TLS", lines("Connection: Upgrade", "Upgrade: TLS/1.2")},
	{"HTTP/2.0", lines("Connection: Upgrade", "Upgrade: HTTP/2.0")},
	{"SPDY", lines("Connection: Upgrade", "Upgrade: SPDY/3.1")},
	{"tcp", lines("Connection: Upgrade", "Upgrade: tcp")},
	{
		"two Connection lines",
		lines("Connection: close, HTTP2-Settings", "Connection: keep-alive,upgrade", "Upgrade: h2c",
			"HTTP2-Settings: AAMAAABkAAQAAP__"),
	},
	{"settings alone", lines("Connection: HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__")},
	{
		"settings in another spelling",
		lines("Connection: HTTP2_Settings, Upgrade", "HTTP2.Settings: AAMAAABkAAQAAP__", "Upgrade: h2c"),
	},
}

var upgradeCases = slices.Concat(upgradesRemoved(), []gateCase{
	{
		name:     "a WebSocket",
		site:     "api",
		call:     call{lines: lines(asAlice, askSocket)},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
		app:      "proxy",
		contains: []string{"Upgrade: websocket", "Connection: Upgrade"},
	},
	{
		name:     "a WebSocket in other case",
		site:     "api",
		call:     call{lines: lines(asAlice, "connection: keep-alive, upgrade", "upgrade: WebSocket")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
		app:      "proxy",
		contains: []string{"Upgrade: websocket"},
	},
	{
		name:     "a WebSocket on a public path",
		site:     "matcher",
		call:     call{target: "/public", lines: askSocket},
		only:     "h1",
		app:      "proxy",
		contains: []string{"Upgrade: websocket"},
	},
	{
		name: "a WebSocket with settings of HTTP/2",
		site: "api",
		call: call{lines: lines(asAlice, askSocket, "Connection: HTTP2-Settings",
			"HTTP2-Settings: AAMAAABkAAQAAP__")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
		app:      "proxy",
		contains: []string{"Upgrade: websocket"},
		lacks:    []string{"http2-settings"},
	},
	{
		name:     "a WebSocket by POST",
		site:     "api",
		call:     call{method: "POST", lines: lines(asAlice, askSocket)},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
		lacks:    noUpgrade,
	},
	{
		name:   "HTTP/2 knows no Upgrade",
		site:   "api",
		call:   call{lines: lines(asAlice, "upgrade: h2c")},
		status: 400,
		only:   "h2",
	},
	{name: "a preflight with Upgrade", site: "preflight", call: call{method: "OPTIONS",
		lines: lines("Origin: https://evil.example", "Access-Control-Request-Method: POST", h2c)},
		reason: "no_credential",
		only:   "h1"},
	{name: "a preflight with a WebSocket", site: "preflight", call: call{method: "OPTIONS",
		lines: lines("Origin: https://evil.example", "Access-Control-Request-Method: POST", askSocket)},
		reason: "no_credential",
		only:   "h1"},
	{
		name:     "report_only leaves it",
		site:     "report",
		call:     call{lines: h2c},
		only:     "h1",
		app:      "proxy",
		contains: []string{"Upgrade: h2c"},
	},
	{
		name:     "report_only with a matcher leaves it",
		site:     "report-matcher",
		call:     call{target: "/private", lines: h2c},
		only:     "h1",
		app:      "proxy",
		contains: []string{"Upgrade: h2c"},
	},

	{
		name: "a listed upgrade",
		site: "tcp",
		call: call{
			method: "POST",
			target: "/private",
			lines:  lines(asAlice, "Connection: Upgrade", "Upgrade: TCP"),
		},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
		app:      "proxy",
		contains: []string{"Upgrade: tcp", "Connection: Upgrade"},
	},
	{
		name:     "another listed upgrade",
		site:     "tcp",
		call:     call{target: "/private", lines: lines(asAlice, "Connection: Upgrade", "Upgrade: SPDY/3.1")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
		app:      "proxy",
		contains: []string{"Upgrade: spdy/3.1"},
	},
	{
		name:     "an upgrade that is not listed",
		site:     "tcp",
		call:     call{target: "/private", lines: lines(asAlice, "Connection: Upgrade", "Upgrade: SPDY/3")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
		lacks:    noUpgrade,
	},
	{
		name:     "two listed upgrades",
		site:     "tcp",
		call:     call{target: "/private", lines: lines(asAlice, "Connection: Upgrade", "Upgrade: tcp, SPDY/3.1")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
		lacks:    noUpgrade,
	},
	{
		name:  "a listed upgrade on a public path",
		site:  "tcp",
		call:  call{target: "/public", lines: lines("Connection: Upgrade", "Upgrade: tcp")},
		only:  "h1",
		lacks: noUpgrade,
	},
	{
		name:   "a listed upgrade refused",
		site:   "tcp",
		call:   call{target: "/private", lines: lines("Connection: Upgrade", "Upgrade: tcp")},
		reason: "no_credential",
		only:   "h1",
	},
	{
		name:     "a listed upgrade past the strip of another gate",
		site:     "tcp-last",
		call:     call{target: "/x", lines: lines(asBob, "Connection: close, Upgrade", "Upgrade: tcp")},
		user:     "bob",
		identity: nil,
		only:     "h1",
		app:      "proxy",
		contains: []string{"Upgrade: tcp"},
	},
	{
		name:     "a listed upgrade through two gates",
		site:     "tcp-last",
		call:     call{target: "/private", lines: lines(asAlice, "Connection: Upgrade", "Upgrade: tcp")},
		user:     "alice",
		identity: nil,
		only:     "h1",
		app:      "proxy",
		contains: []string{"Upgrade: tcp"},
	},
	{name: "an upgrade that only the first of two gates lists", site: "tcp-first",
		call:     call{target: "/private", lines: lines(asAlice, "Connection: Upgrade", "Upgrade: tcp")},
		user:     "alice",
		identity: nil,
		only:     "h1",
		lacks:    noUpgrade},
	{
		name:   "a WebSocket from another origin past a strip",
		site:   "tcp-last",
		call:   call{target: "/x", lines: lines(upgrade, "Origin: https://evil.example")},
		reason: "cross_origin",
		only:   "h1",
	},
})

// upgradesRemoved sends each of them through gates in every mode and through strips.
func upgradesRemoved() []gateCase {
	var cases []gateCase
	for _, u := range otherUpgrades {
		cases = append(cases,
			gateCase{
				name:     u.name,
				site:     "api",
				call:     call{lines: lines(asAlice, u.lines)},
				user:     "alice",
				identity: aliceIdentity,
				only:     "h1",
				lacks:    noUpgrade,
			},
			gateCase{
				name:  u.name,
				site:  "matcher",
				call:  call{target: "/public", lines: u.lines},
				only:  "h1",
				app:   "proxy",
				lacks: noUpgrade,
			},
			gateCase{
				name:  u.name,
				site:  "handle",
				call:  call{target: "/public", lines: u.lines},
				only:  "h1",
				app:   "proxy",
				lacks: noUpgrade,
			},
			gateCase{
				name:  u.name,
				site:  "optional",
				call:  call{lines: u.lines},
				only:  "h1",
				app:   "proxy",
				lacks: noUpgrade,
			},
			gateCase{
				name:     u.name,
				site:     "stacked",
				call:     call{target: "/admin", lines: lines(asAlice, u.lines)},
				user:     "alice",
				identity: []string{"X-User-Id: alice", "X-User-Role: admin"},
				only:     "h1",
				app:      "proxy",
				lacks:    noUpgrade,
			})
	}
	return cases
}
