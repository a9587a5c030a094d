package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// run starts a program until the test ends, and waits until it listens at addr.
func (g *gateway) run(t *testing.T, addr string, cmd *exec.Cmd) {
	t.Helper()
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Dir, cmd.WaitDelay = g.dir, time.Second
	cmd.Env = append(os.Environ(), "HOME="+g.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-over
		if t.Failed() {
			t.Log(said.String())
		}
	})
	eventually(t, time.Minute, func() string { // one of them is compiled first
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err.Error()
		}
		conn.Close()
		return ""
	})
}

// asgiApp answers with the version of HTTP, the path and the identity headers of what it got.
const asgiApp = `
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    user = [n.decode() + "=" + v.decode() for n, v in scope["headers"] if n.startswith(b"x-user")]
    seen = [scope["http_version"], scope["path"]] + user
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": " ".join(seen).encode()})
`

// TestNoTunnelIntoHypercorn: Hypercorn switches to HTTP/2 when it is asked to, and what a client
// says in there no gate sees.
func TestNoTunnelIntoHypercorn(t *testing.T) {
	program := requireProgram(t, "hypercorn")
	g := newGateway(t)
	if err := os.WriteFile(filepath.Join(g.dir, "app.py"), []byte(asgiApp), 0o600); err != nil {
		t.Fatal(err)
	}
	g.run(t, g.addr("hypercorn"), exec.Command(program, "--workers", "0", "--bind", g.addr("hypercorn"), "app:app"))
	var sites strings.Builder
	for _, site := range gateSites {
		app := fmt.Sprintf("reverse_proxy %s", g.addr("hypercorn"))
		text := strings.ReplaceAll(site.text, "APP", app)
		sites.WriteString(siteOf(site.name+"-hyper", text+"\n\t"+app))
	}
	g.load(gateGlobals, "(guarded) {\n\tjwt_auth api {"+forwardThree+"\t}\n}\n"+authSite+`{{url "allow-proxy"}} {
	respond ok
}
{{url "allow-php"}} {
	respond ok
}
`+sites.String())
	// otherwise the rest shows nothing
	got := tunnel(t, g.addr("hypercorn"), g.host("hypercorn"), "GET", "/public", nil)
	if got != "2 /private x-user-id=eve" {
		t.Fatalf("Hypercorn itself says %q", got)
	}
	alice := "Authorization: Bearer " + people(g.tokens)["alice"]
	for _, c := range []struct {
		site, method, target string
		lines                []string
	}{
		{"api", "GET", "/", lines(alice)},
		{"matcher", "GET", "/public", nil},
		{"handle", "GET", "/public", nil},
		{"route", "GET", "/public", nil},
		{"off-first", "GET", "/open", lines(alice)},
		{"stacked", "GET", "/admin", lines(alice)},
		{"optional", "GET", "/", nil},
		{"preflight", "OPTIONS", "/", lines("Origin: https://evil.example", "Access-Control-Request-Method: POST")},
		{"tcp", "GET", "/private", lines(alice)},
		{"tcp", "GET", "/public", nil},
	} {
		t.Run(c.site+c.target, func(t *testing.T) {
			if got := tunnel(t, g.addr(c.site+"-hyper"), g.host(c.site+
				"-hyper"), c.method, c.target, c.lines); strings.Contains(
				got, "/private x-user-id",
			) {
				t.Errorf("in the tunnel Hypercorn says %q", got)
			}
		})
	}
}

// tunnel asks for an upgrade to HTTP/2 and then, in there, for a private path with a forged header.
// It returns what the application says.
func tunnel(t *testing.T, addr, host, method, target string, more []string) string {
	t.Helper()
	conn := mustDial(t, addr)
	defer conn.Close()
	if _, err := io.WriteString(conn,
		call{method: method, target: target, host: host, lines: lines(h2c, more)}.text()); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return resp.Status
	}
	framer := http2.NewFramer(conn, in)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := writePreface(conn, framer); err != nil {
		t.Fatal(err)
	}
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for _, line := range [][2]string{
		{":method", "GET"}, {":scheme", "http"}, {":authority", host}, {":path", "/private"}, {"x-user-id", "eve"},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: line[0], Value: line[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID:      3,
		BlockFragment: []byte(block.String()),
		EndStream:     true,
		EndHeaders:    true,
	}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err.Error()
		}
		if data, ok := frame.(*http2.DataFrame); ok && data.StreamID == 3 && len(data.Data()) > 0 {
			return string(data.Data())
		}
	}
}

const lighttpdConfig = `server.document-root = "%[1]s"
server.bind = "127.0.0.1"
server.port = %[2]d
server.modules = ( "mod_cgi" )
server.http-parseopts = ( "header-strict" => "disable", "host-strict" => "disable" )
cgi.assign = ( ".cgi" => "/bin/sh" )
`

// cgiScript answers with every variable that says who asks.
const cgiScript = `printf 'Content-Type: text/plain\r\n\r\n'
env | grep '^HTTP_X_USER' | sort
`

// TestNoSpellingReachesCGI: lighttpd makes HTTP_X_USER_ROLE of every header whose name has anything
// but letters and digits where `-` is.
func TestNoSpellingReachesCGI(t *testing.T) {
	program := requireProgram(t, "lighttpd")
	g := newGateway(t)
	config, script := filepath.Join(g.dir, "lighttpd.conf"), filepath.Join(g.dir, "who.cgi")
	for _, c := range []struct{ name, text string }{
		{config, fmt.Sprintf(lighttpdConfig, g.dir, g.port("lighttpd"))}, {script, cgiScript},
	} {
		if err := os.WriteFile(c.name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.run(t, g.addr("lighttpd"), exec.Command(program, "-D", "-f", config))
	g.load(standardAuth, authSite+fmt.Sprintf(`
{{url "cgi"}} {
	log
	jwt_auth /private* api {%s}
	handle {
		rewrite * /who.cgi
		reverse_proxy %s
	}
}
`, forwardThree, g.addr("lighttpd")))
	bob := "Authorization: Bearer " + people(g.tokens)["bob"]
	for _, c := range tokenCharacters {
		line := fmt.Sprintf("X%[1]cUser%[1]cRole: root", c)
		t.Run(line, func(t *testing.T) {
			direct := sendHTTP1(t, g.addr("lighttpd"),
				call{target: "/who.cgi", host: "localhost", lines: []string{line}})
			if direct.body != "HTTP_X_USER_ROLE=root\n" { // otherwise the rest shows nothing
				t.Fatalf("lighttpd itself says %q, status %d", direct.body, direct.status)
			}
			for _, p := range protocols {
				public := p.send(t, g.addr("cgi"), call{target: "/public", host: g.host("cgi"), lines: []string{line}})
				if public.status != http.StatusOK || public.body != "" {
					t.Errorf("%s, public: status %d, the script sees %q", p.name, public.status, public.body)
				}
			}
		})
	}
	got := sendHTTP1(t, g.addr("cgi"), call{target: "/private", host: g.host("cgi"), lines: lines(oddSpellings(), bob)})
	if got.body != "HTTP_X_USER_ID=bob\nHTTP_X_USER_ROLE=viewer\n" {
		t.Errorf("as bob: status %d, the script sees %q", got.status, got.body)
	}
}
