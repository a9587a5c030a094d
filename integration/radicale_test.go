package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// radicaleConfig makes radicale believe the header X-Remote-User, as it does behind any gateway.
const radicaleConfig = `[server]
hosts = 127.0.0.1:%d
[auth]
type = http_x_remote_user
[rights]
type = owner_only
[storage]
filesystem_folder = %s
[logging]
level = warning
`

const event = `BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//test//EN
BEGIN:VEVENT
UID:tea-party
DTSTAMP:20260101T000000Z
DTSTART:20260101T150000Z
DTEND:20260101T160000Z
SUMMARY:A mad tea party
END:VEVENT
END:VCALENDAR
`

// TestRadicale puts a real calendar server that knows nothing about tokens behind the gateway.
func TestRadicale(t *testing.T) {
	program := requireProgram(t, "radicale")
	g := newGateway(t)
	g.startRadicale(t, program)
	g.load(standardAuth, authSite+`
{{url "cal"}} {
	log
	jwt_auth web api {
		forward sub X-Remote-User
	}
	reverse_proxy 127.0.0.1:{{port "radicale"}}
}
`)
	alice, bob := g.login(t, "alice", alicePassword), g.login(t, "bob", bobPassword)
	t.Run("the header alone opens the door of radicale", func(t *testing.T) { // otherwise the rest shows nothing
		got := sendHTTP1(t, g.addr("radicale"),
			call{
				method: "PROPFIND",
				target: "/alice/",
				host:   "localhost",
				lines:  []string{"X-Remote-User: alice", "Depth: 0"},
			})
		if got.status != http.StatusMultiStatus {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
	})
	t.Run("alice keeps her calendar", func(t *testing.T) { g.useCalendar(t, alice) })
	forged := []string{
		"X-Remote-User: alice", "X_Remote_User: alice", "x-remote-user: alice", "X.Remote.User: alice",
		"Connection: X-Remote-User",
	}
	for _, c := range []struct {
		name   string
		bearer string
		lines  []string
		status int
	}{
		{name: "anonymous", status: http.StatusUnauthorized},
		{name: "anonymous with forged headers", lines: forged, status: http.StatusUnauthorized},
		{name: "bob", bearer: bob, status: http.StatusForbidden},
		{name: "bob with forged headers", bearer: bob, lines: forged, status: http.StatusForbidden},
		{
			name:   "alice with headers that name bob",
			bearer: alice,
			lines:  []string{"X-Remote-User: bob", "Connection: X-Remote-User"},
			status: http.StatusMultiStatus,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := g.dav(t, "PROPFIND", "/alice/cal/", c.bearer, "", append([]string{"Depth: 1"}, c.lines...)...)
			if got.status != c.status {
				t.Errorf("status %d, want %d: %s", got.status, c.status, got.body)
			}
			if strings.Contains(got.body, "tea.ics") != (c.status == http.StatusMultiStatus) {
				t.Errorf("status %d says %s", got.status, got.body)
			}
		})
	}
}

func (g *gateway) useCalendar(t *testing.T, alice string) {
	if got := g.dav(t, "MKCALENDAR", "/alice/cal/", alice, ""); got.status != http.StatusCreated {
		t.Fatalf("MKCALENDAR: status %d: %s", got.status, got.body)
	}
	body := strings.ReplaceAll(event, "\n", "\r\n")
	got := g.dav(t, "PUT", "/alice/cal/tea.ics", alice, body, "Content-Type: text/calendar")
	if got.status != http.StatusCreated {
		t.Fatalf("PUT: status %d: %s", got.status, got.body)
	}
	if got := g.dav(t, "GET", "/alice/cal/tea.ics", alice, ""); got.status != http.StatusOK ||
		!strings.Contains(got.body, "A mad tea party") {
		t.Errorf("GET: status %d: %s", got.status, got.body)
	}
	if got := g.dav(t, "PROPFIND", "/alice/cal/", alice, "", "Depth: 1"); got.status != http.StatusMultiStatus ||
		!strings.Contains(got.body, "tea.ics") {
		t.Errorf("PROPFIND: status %d: %s", got.status, got.body)
	}
}

func (g *gateway) dav(t *testing.T, method, target, bearer, body string, more ...string) answer {
	t.Helper()
	if bearer != "" {
		more = append(more, "Authorization: Bearer "+bearer)
	}
	return sendHTTP1(t, g.addr("cal"),
		call{method: method, target: target, host: g.host("cal"), lines: more, body: body})
}

// startRadicale runs radicale until the test ends and waits until it listens.
func (g *gateway) startRadicale(t *testing.T, program string) {
	t.Helper()
	config := filepath.Join(g.dir, "radicale.conf")
	text := fmt.Sprintf(radicaleConfig, g.port("radicale"), filepath.Join(g.dir, "collections"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.run(t, g.addr("radicale"), exec.Command(program, "--config", config))
}
