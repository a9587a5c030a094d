package integration

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// generatedSite guards /admin for administrators, leaves /public to all, and wants a token for the
// rest.
const generatedSite = `
{{url "generated"}} {
	@private not path /public /public/*
	jwt_auth /admin* api {
		require role admin
		forward role X-User-Role
	}
	jwt_auth @private api {
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}}
}
`

// TestGeneratedTargets sends ten thousand targets that are put together at random, the same ones in
// every run. What the application received is taken apart in every way that is known of
// applications: none may end where the gates have not agreed to.
func TestGeneratedTargets(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+generatedSite)
	bob := g.tokens.mint("es1", "bob", map[string]any{"role": "viewer"})
	alice := g.tokens.mint("es1", "alice", map[string]any{"role": "admin"})
	client := &keptClient{t: t, addr: g.addr("generated")}
	defer client.close()
	arrived, refused := 0, 0
	for i, target := range generatedTargets(g.host("generated"), 10_000) {
		c := call{
			method: []string{"GET", "POST", "GET", "HEAD", "GET", "OPTIONS", "GET", "DELETE", "CONNECT"}[i%9],
			target: target,
			host:   g.host("generated"),
		}
		switch who := []string{"", "bob", "alice"}[i/9%3]; who {
		case "bob":
			c.lines = []string{"Authorization: Bearer " + bob}
		case "alice":
			c.lines = []string{"Authorization: Bearer " + alice}
		}
		got := client.send(c)
		seen := g.proxy.take()
		arrived += len(seen)
		if strings.Contains(got.body, "ambiguous_path") {
			refused++
		}
		for _, s := range seen {
			checkConsent(t, c, s)
		}
	}
	t.Logf("%d targets arrived, %d were refused as ambiguous", arrived, refused)
	if arrived < 1500 || refused < 3000 {
		t.Errorf("%d targets arrived, %d were refused as ambiguous: the test shows nothing", arrived, refused)
	}
}

// checkConsent holds what an application received against what the gates have left on the request.
func checkConsent(t *testing.T, c call, s sighting) {
	t.Helper()
	for _, reading := range lenientReadings(s.target) {
		first, _, _ := strings.Cut(strings.TrimPrefix(reading, "/"), "/")
		switch {
		case first == "admin" && !slices.Equal(s.values("x-user-role"), []string{"admin"}):
			t.Errorf("%s %q: the application saw %q and may read %q, which the gate of /admin has not let pass",
				c.method, c.target, s.target, reading)
		case first != "public" && len(s.values("x-user-id")) == 0:
			t.Errorf("%s %q: the application saw %q and may read %q, without a user", c.method, c.target, s.target,
				reading)
		}
	}
}

// generatedTargets puts request targets together from what gateways were passed by.
func generatedTargets(authority string, n int) []string {
	begins := []string{
		"/", "/", "/", "/", "/", "/", "/", "/public/", "/public/", "/users/", "/users/", "/users/", "/admin/",
		"/admin/", "//", "/%2f", "/;x/", "/x/", "/(S(x))/", "/./", "*", "", "http://" + authority,
		"http://" + authority + "/", "http://" + authority + "//", "http://user@" + authority + "/",
		"https://" + authority + "/", "x:", "x:/", "x://", "x:http://" + authority + "/", "http:", "http:/", "http:///",
		"ftp://" + authority + "/", authority, "http://other.example/",
	}
	plain := []string{
		"admin", "public", "public", "public/", "users", "x", "/", "/", "/", "/x/", "//", "?x=/../admin", "~",
		"%c3%a9",
	}
	odd := []string{
		"/../", "/./", "/%2e%2e/", "%2f", "%2F", "%5c", `\`, ";x", ";", "%3b", "%3B", ".", "%2e", "..", "%20", "(S(x))",
		"(a(b))", "%28S(x)%29", "%00", "%0a", "%09", "%c0%af", "%c0%ae", "%61dmin", "ADMIN", "ad%6Din", "?admin", "%3f",
		"%23", "#x", "%25", "%252f", "é", ":", "@", "&", "=", "+",
	}
	random := rand.New(rand.NewPCG(8, 10_000))
	targets := make([]string, n)
	for i := range targets {
		target := begins[random.IntN(len(begins))]
		for range random.IntN(6) {
			if random.IntN(3) > 0 {
				target += plain[random.IntN(len(plain))]
			} else {
				target += odd[random.IntN(len(odd))]
			}
		}
		if target == "" {
			target = "/"
		}
		targets[i] = target
	}
	return targets
}

var (
	schemeOf  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)
	sessionOf = regexp.MustCompile(`(^|/)\((?:[A-Za-z]\([^)/]*\))+\)/?`)
	overlong  = strings.NewReplacer("\xc0\xaf", "/", "\xc0\xae", ".", "\xc1\x9c", "/")
)

// lenientReadings are the paths for which applications may take a request target: with and without
// each thing that one or the other of them does. All end clean and in lower case.
func lenientReadings(target string) []string {
	var all []string
	for _, taken := range takenApart(target) {
		raw, _, _ := strings.Cut(taken, "?")
		raw, _, _ = strings.Cut(raw, "#")
		if decoded, err := url.PathUnescape(raw); err == nil {
			raw = decoded
		}
		each := []func(string) string{
			func(s string) string { return s },
			func(s string) string { return strings.ReplaceAll(s, `\`, "/") },
			overlong.Replace,
			func(s string) string { before, _, _ := strings.Cut(s, "\x00"); return before },
			func(s string) string {
				return segments(s, func(one string) string { before, _, _ := strings.Cut(one, ";"); return before })
			},
			func(s string) string { return sessionOf.ReplaceAllString(s, "$1") },
			func(s string) string { return segments(s, trimDots) },
		}
		together := raw
		for _, read := range each {
			all = append(all, clean(read(raw)))
			together = read(together)
		}
		all = append(all, clean(together))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func clean(s string) string { return path.Clean("/" + strings.ToLower(s)) }

func segments(s string, read func(string) string) string {
	parts := strings.Split(s, "/")
	for i := range parts {
		parts[i] = read(parts[i])
	}
	return strings.Join(parts, "/")
}

func trimDots(segment string) string {
	if segment == "." || segment == ".." {
		return segment
	}
	return strings.TrimRight(segment, ". ")
}

// takenApart takes scheme and authority off a target, as those do that take it for a URL, and also
// leaves on what others leave on.
func takenApart(target string) []string {
	rest := target[len(schemeOf.FindString(target)):]
	if scheme := len(rest) < len(target); scheme && strings.HasPrefix(rest, "//") {
		_, after, _ := strings.Cut(rest[2:], "/")
		return takenApart("/" + after)
	} else if scheme {
		return append(takenApart(rest), rest)
	}
	for _, slashes := range []string{"//", "/%2f", "/%2F", "/%5c", `/\`} {
		if begins, ok := strings.CutPrefix(target, slashes); ok {
			_, after, _ := strings.Cut(begins, "/")
			return append(takenApart("/"+after), target)
		}
	}
	return []string{target}
}

// TestLenientReader makes sure that the property test looks at the right thing.
func TestLenientReader(t *testing.T) {
	for _, c := range []struct {
		target string
		admin  bool
	}{
		{"/admin", true}, {"/ADMIN/x", true}, {"/%61dmin?x", true}, {"/x/../admin", true}, {"/x%2f..%2fadmin", true},
		{"/admin;x/y", true}, {"/;x/admin", true}, {"/%3bx/admin", true}, {"/admin./x", true}, {"/admin%20/x", true},
		{"/(S(x))/admin", true}, {"/(S(x))admin", true}, {"//public/admin", true}, {"/%2fpublic/admin", true},
		{`/\public/admin`, true}, {`/public\..\admin`, true}, {"/public/..;x/admin", true}, {"x:http://h/admin", true},
		{"x:admin", true}, {"http://h/admin?x", true}, {"http:/admin", true}, {"x:http://h//y/admin", true},
		{"/admin%00x", true}, {"/public%c0%af../admin", true}, {"/public", false}, {"/x?/admin", false},
		{"/administrator", false}, {"/x/admin", false}, {"http://admin/x", false}, {"/%2561dmin", false},
	} {
		t.Run(c.target, func(t *testing.T) {
			readings := lenientReadings(c.target)
			if got := slices.ContainsFunc(readings,
				func(r string) bool { return r == "/admin" || strings.HasPrefix(r, "/admin/") }); got != c.admin {
				t.Errorf("%q", readings)
			}
		})
	}
}

// keptClient sends one request after the other on a connection, and on a new one where the server
// has closed it.
type keptClient struct {
	t    *testing.T
	addr string
	conn net.Conn
	in   *bufio.Reader
}

func (k *keptClient) close() {
	if k.conn != nil {
		k.conn.Close()
		k.conn = nil
	}
}

func (k *keptClient) send(c call) answer {
	k.t.Helper()
	for fresh := false; ; fresh = true {
		if k.conn == nil {
			k.conn = mustDial(k.t, k.addr)
			k.in, fresh = bufio.NewReader(k.conn), true
		}
		got, err := k.try(c)
		if err == nil {
			return got
		}
		k.close()
		if fresh {
			k.t.Fatalf("%s %q: %v", c.method, c.target, err)
		}
	}
}

func (k *keptClient) try(c call) (answer, error) {
	if _, err := fmt.Fprint(k.conn, c.text()); err != nil {
		return answer{}, err
	}
	method := c.method
	if method == http.MethodConnect {
		method = http.MethodGet // nothing is tunnelled: the answer has a body
	}
	resp, err := http.ReadResponse(k.in, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(resp.Body)
	if resp.Close || err != nil {
		k.close()
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body)}, nil
}
