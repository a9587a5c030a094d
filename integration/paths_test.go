package integration

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
)

// Whoever is let into /admin must have passed the gate of /admin, whichever way the path was
// written.
const (
	adminGates = `jwt_auth api {
		forward sub X-User-Id
	}
	jwt_auth /admin* api {
		require role admin
		forward role X-User-Role
	}`
	pathSites = authSite + `
{{url "plain"}} {
	` + adminGates + `
	reverse_proxy {{.Proxy}}
}
{{url "strip"}} {
	uri strip_prefix /app
	` + adminGates + `
	reverse_proxy {{.Proxy}}
}
{{url "rewrite"}} {
	rewrite /old/* /admin{uri}
	uri replace /alias /admin
	` + adminGates + `
	reverse_proxy {{.Proxy}}
}
{{url "handle"}} {
	handle_path /app/* {
		` + adminGates + `
		reverse_proxy {{.Proxy}}
	}
	handle {
		` + adminGates + `
		reverse_proxy {{.Proxy}}
	}
}
{{url "php"}} {
	` + adminGates + `
	php_fastcgi {{.PHP}} {
		root "{{.Dir}}"
	}
}
`
)

var pathSiteNames = []string{"plain", "strip", "rewrite", "handle", "php"}

// knownPaths are the spellings by which other gateways were passed.
var knownPaths = []string{
	"/admin", "/admin/", "/admin/x", "/ADMIN", "/Admin/x", "/public/../admin", "/public/%2e%2e/admin",
	"/public/%2E%2e/admin", "/public/.%2e/admin", "//admin", "///admin", "/./admin", "/%2e/admin", "/admin;x",
	"/admin;x=1/y", "/;x/admin", "/%61dmin", "/%41dmin", "/ad%6din", "/%2561dmin", `/public\..\admin`, `\admin`,
	`/\admin`, "/%5cadmin", "/public%5c..%5cadmin", "/public%2f..%2fadmin", "/public%2F..%2Fadmin/x", "/%2fadmin",
	"/admin%2f", "/admin%2fx", "/admin%00", "/admin%20", "/admin.", "/admin%09", "/admin?x", "/x?/admin", "/admin#x",
	"/x#/admin", "/admin%23", "/app/admin", "/app//admin", "/app/../admin", "/app/%2e%2e/admin", "/app%2fadmin",
	"/app/%61dmin", "/%61pp/admin", "/app/app/admin", "/APP/admin", "/appadmin", "/app/./admin", "/app/x/../admin",
	"/app%2f..%2fadmin", "//app/admin", "/./app/admin", "/app;x/admin", "/app/%2fadmin", "/old/x", "/old/../admin",
	"/old/%2e%2e/x", "/old//x", "/%6fld/x", "/alias", "/alias/x", "/%61lias", "/x/../alias", "//alias", "/xalias",
	"http://localhost/admin", "/admin/../public", "/admin%2f..%2fpublic", "/admin/%2e%2e/public", "*", "/.%00./admin",
	"/public/..%00/admin", "/index.php/admin", "/admin.php", "/public/..;/admin", "/%c0%ae%c0%ae/admin",
	"/..%c0%af/admin", "/a\u017fdmin", "/adm\u0131n",
}

// TestDecisionPathIsForwardedPath sends every spelling as bob, who is no admin: no application may
// see a path that a strict reader calls /admin. As alice, such a path must carry what only the gate
// of /admin asserts.
func TestDecisionPathIsForwardedPath(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, pathSites)
	tokens := []struct{ name, token string }{
		{"bob", g.tokens.mint("es1", "bob", map[string]any{"role": "viewer"})},
		{"alice", g.tokens.mint("es1", "alice", map[string]any{"role": "admin"})},
	}
	for _, site := range pathSiteNames {
		for _, p := range protocols {
			t.Run(site+"/"+p.name, func(t *testing.T) {
				arrived := 0
				targets := knownPaths
				if p.name == "h1" { // made-up spellings once; the well-known ones over both protocols
					targets = append(targets[:len(targets):len(targets)], inventedPaths(site, 150)...)
				}
				for _, target := range targets {
					for _, c := range tokens {
						t.Run(c.name, func(t *testing.T) {
							arrived += g.checkPath(t, p, site, target, c.name, c.token)
						})
					}
				}
				if arrived < len(targets)/4 {
					t.Errorf("only %d of %d requests arrived: the test shows nothing", arrived, 2*len(targets))
				}
			})
		}
	}
}

// checkPath sends one spelling and returns 1 when an application saw it.
func (g *gateway) checkPath(t *testing.T, p protocol, site, target, name, token string) int {
	t.Helper()
	got := p.send(t, g.addr(site),
		call{target: target, host: g.host(site), lines: []string{"Authorization: Bearer " + token}})
	seen := append(g.proxy.take(), g.php.take()...)
	if len(seen) == 0 {
		return 0
	}
	for _, forwarded := range seen[0].paths() {
		if !strictlyAdmin(forwarded) {
			continue
		}
		if name == "bob" {
			t.Errorf("%q as bob: status %d, the application saw %q", target, got.status, forwarded)
		} else if role := seen[0].values("x-user-role"); len(role) != 1 || role[0] != "admin" {
			t.Errorf("%q as alice: the application saw %q without the gate of /admin: %q", target, forwarded,
				seen[0].headers)
		}
	}
	return 1
}

// paths are where an application may look for the path: the request line, or several CGI variables.
func (s sighting) paths() []string {
	if s.params == nil {
		return []string{s.target}
	}
	return []string{s.target, s.params["DOCUMENT_URI"], s.params["SCRIPT_NAME"], s.params["PATH_INFO"]}
}

// strictlyAdmin reads a request target as RFC 3986 says: without query, dot segments removed,
// unreserved characters decoded; and as servers do: everything decoded first, repeated slashes as
// one. Either reading counts.
func strictlyAdmin(target string) bool {
	if at := strings.Index(target, "://"); at >= 0 { // absolute form
		target = target[at+3:]
		target = target[max(0, strings.IndexByte(target, '/')):]
	}
	raw, _, _ := strings.Cut(target, "?")
	raw, _, _ = strings.Cut(raw, "#")
	for _, reading := range []string{decodeUnreserved(raw), decodeAll(raw)} {
		first := strings.ToLower(strings.TrimLeft(path.Clean("/"+reading), "/"))
		first, _, _ = strings.Cut(first, "/")
		first, _, _ = strings.Cut(first, ";")
		if first == "admin" {
			return true
		}
	}
	return false
}

func decodeAll(s string) string {
	decoded, err := url.PathUnescape(s)
	if err != nil {
		return s
	}
	return decoded
}

// decodeUnreserved decodes what RFC 3986, section 6.2.2.2, calls equivalent: letters, digits,
// `-._~`.
func decodeUnreserved(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c := decodeAll(s[i : i+3]); len(c) == 1 &&
				strings.ContainsAny(strings.ToLower(c), "abcdefghijklmnopqrstuvwxyz0123456789-._~") {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// inventedPaths puts pieces together at random, the same ones in every run.
func inventedPaths(seed string, n int) []string {
	pieces := []string{
		"/", "/", "//", "/./", "/../", "/%2e%2e/", "/.%2E/", "%2f", "%2F", "%5c", `\`, ";x", ";/", "%00", "%20", ".",
		"..", "admin", "admin", "%61dmin", "ADMIN", "ad%6Din", "public", "app", "%61pp", "old", "alias", "x", "?admin",
		"#admin", "%3f", "%23", "%25", "%", "é",
	}
	var sum uint64
	for _, c := range seed {
		sum = sum*31 + uint64(c)
	}
	random := rand.New(rand.NewPCG(sum, 7))
	var paths []string
	for range n {
		target := "/"
		for range 1 + random.IntN(7) {
			target += pieces[random.IntN(len(pieces))]
		}
		paths = append(paths, target)
	}
	return paths
}

// TestStrictReader makes sure that the property test looks at the right thing.
func TestStrictReader(t *testing.T) {
	for _, c := range []struct {
		target string
		want   bool
	}{
		{"/admin", true}, {"/ADMIN/x", true}, {"//admin", true}, {"/x/../admin", true}, {"/x/%2e%2e/admin", true},
		{"/%61dmin?x", true}, {"/x%2f..%2fadmin", true}, {"/admin;x", true}, {"http://h/admin", true},
		{"/public", false}, {"/x?/admin", false}, {"/admin/../public", false}, {"/administrator", false},
		{"/%2561dmin", false}, {"/x/admin", false},
	} {
		t.Run(c.target, func(t *testing.T) {
			if got := strictlyAdmin(c.target); got != c.want {
				t.Errorf("%q: %v", c.target, got)
			}
		})
	}
}

// TestRequestSmuggling: what one server takes for one request is one request for the application
// too.
func TestRequestSmuggling(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+twoSites("api", "log\n\tjwt_auth /admin* api"))
	inner := "GET /admin HTTP/1.1\r\nHost: " + g.host("api-proxy") + "\r\nConnection: close\r\n\r\n"
	status := regexp.MustCompile(`HTTP/1\.1 \d+`)
	for _, c := range []struct{ name, text, answers string }{
		{"length and chunked", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
			"HTTP/1.1 200, HTTP/1.1 401"},
		{"two lengths", fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n\r\n%s", len(inner), inner),
			"HTTP/1.1 400"},
		{"odd chunked", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner, "HTTP/1.1 501"},
		{"chunked by case", "Content-Length: 4\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner,
			"HTTP/1.1 400"},
		{"length with a plus", "Content-Length: +5\r\n\r\nhello" + inner, "HTTP/1.1 400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := mustDial(t, g.addr("api-proxy"))
			defer conn.Close()
			fmt.Fprintf(conn, "POST /public HTTP/1.1\r\nHost: %s\r\n%s", g.host("api-proxy"), c.text)
			text, err := io.ReadAll(conn)
			if got := strings.Join(status.FindAllString(string(text), -1), ", "); err != nil || got != c.answers {
				t.Errorf("the client is answered %q, %v", text, err)
			}
			seen := g.proxy.take()
			if passes := strings.Contains(c.answers, "200"); len(seen) > 0 != passes || len(seen) > 1 {
				t.Errorf("the application saw %d requests", len(seen))
			}
			for _, s := range seen {
				if s.method != http.MethodPost || s.target != "/public" || s.body != "" {
					t.Errorf("the application saw %q", s.raw)
				}
			}
		})
	}
}
