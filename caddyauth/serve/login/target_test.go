package login

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

func targetServer() *Server {
	return &Server{
		Base:     mustURL("https://auth.example.com/auth"),
		ReturnTo: []string{"https://app.example.com", "http://plain.example.com", "https://app.example.com:8443"},
	}
}

func TestTargetsThatAreTaken(t *testing.T) {
	s := targetServer()
	for _, c := range []struct{ next, want string }{
		{"/x?a=1&b=2#f", "https://auth.example.com/x?a=1&b=2#f"},
		{"/", "https://auth.example.com/"},
		{"/auth/loginx", "https://auth.example.com/auth/loginx"},
		{"/login", "https://auth.example.com/login"},
		{"/a//b", "https://auth.example.com/a//b"},
		{"/%E2%82%AC?q=%5C%0A#%5C", "https://auth.example.com/%E2%82%AC?q=%5C%0A#%5C"},
		{"/x?next=https://evil.example/", "https://auth.example.com/x?next=https://evil.example/"},
		{"/x?a={b}|c^d'\"<>", "https://auth.example.com/x?a={b}|c^d'\"<>"},
		{"https://app.example.com", "https://app.example.com"},
		{"https://app.example.com/x?a=1&b=2#f", "https://app.example.com/x?a=1&b=2#f"},
		{"https://app.example.com?x", "https://app.example.com?x"},
		{"https://app.example.com#x", "https://app.example.com#x"},
		{"https://app.example.com:8443/y", "https://app.example.com:8443/y"},
		{"https://auth.example.com/x", "https://auth.example.com/x"},
		{"https://app.example.com/auth/login", "https://app.example.com/auth/login"},
		{"https://app.example.com/@evil.example/", "https://app.example.com/@evil.example/"},
		{"https://app.example.com/?u=//evil", "https://app.example.com/?u=//evil"},
		{"/" + strings.Repeat("a", maxTarget-1), "https://auth.example.com/" + strings.Repeat("a", maxTarget-1)},
		{"https://app.example.com/...", "https://app.example.com/..."},
		{"https://app.example.com/%252e%252e/%255C", "https://app.example.com/%252e%252e/%255C"},
	} {
		t.Run(c.next, func(t *testing.T) {
			if got, ok := s.target(c.next); !ok || got.url != c.want {
				t.Errorf("%.80q: %q, %v", c.next, got.url, ok)
			}
		})
	}
}

var refusedTargets = []string{
	"", " ", "x", "?x", "#x", "evil.example", "evil.example/", ":", "::", "https", "https:", "https:/", "https://",
	"https:///", "//evil", "///evil", "////evil", "//evil/x", "//app.example.com/", "/\\evil", "\\\\evil", "\\/evil",
	"/\\/evil", "/%5Cevil", "/%5cevil", "/x/%5C..", "/%2Fevil", "/%2f%2fevil", "/\tevil", "/\t/evil", "\t//evil",
	"/\n/evil", "/\r\nSet-Cookie: a=b", "/x\r\nLocation: //evil", "/%0d%0aX:y", "/%00", "/x\x00", "/\x7f", "/ä",
	"/x y",
	" /x", "/x ", "/%zz", "https:evil", "https:/evil", "https:evil.example/", "https:app.example.com",
	"https:/app.example.com", "https:///app.example.com/", "https:\\\\app.example.com", "https://evil.example",
	"https://evil.example/", "https://app.example.com.evil.example/", "https://app.example.comevil/",
	"https://evilapp.example.com/", "https://app.example.com@evil.example/", "https://app.example.com:x@evil.example/",
	"https://user@app.example.com/", "https://user:pw@app.example.com/", "https://@app.example.com/",
	"https://app.example.com\\.evil.example/", "https://app.example.com\\@evil.example/",
	"https://app.example.com%2eevil.example/", "https://app.example.com%00.evil.example/", "https://app.example.com:/",
	"https://app.example.com:443/", "https://app.example.com:444/", "https://app.example.com:84430/",
	"https://app.example.com./", "https://APP.example.com/", "HTTPS://app.example.com/", "https://[::1]/",
	"https://app.example.com;evil/", "https://app.example.com,evil/", "https://app.example.com&evil/",
	"http://app.example.com/", "http://auth.example.com/", "http://plain.example.com/", "http://plain.example.com",
	"https://app.example.com//evil/x", "https://app.example.com/%2Fevil", "https://app.example.com/\\evil",
	"https://app.example.com/%5Cevil", "https://app.example.com/../x", "https://app.example.com/a/%2e%2e/b",
	"/..;x/evil", "https://app.example.com/a/..;/b", "/..//evil", "/./x", "/a/..", "/%2e/x", "/.%2E//evil",
	"javascript:alert(1)",
	"javascript://app.example.com/%0aalert(1)", "javascript://https://app.example.com/", "JavaScript:x",
	"data:text/html,x", "data:,", "vbscript:x", "blob:https://app.example.com/x", "file:///etc/passwd",
	"ftp://app.example.com/", "ws://app.example.com/", "view-source:https://app.example.com/", "mailto:a@b",
	"/auth/login", "/auth/login?next=/x", "/auth/login#x", "/auth/login/", "/auth/login/x", "/auth/LOGIN",
	"/auth/%6Cogin", "/auth/logout", "/Auth/Logout?x", "https://auth.example.com/auth/login",
	"https://auth.example.com/auth/login?next=https://app.example.com/", "https://auth.example.com/auth/logout",
	"/" + strings.Repeat("a", maxTarget), "https://app.example.com/" + strings.Repeat("a", 4096),
}

func TestTargetsThatAreRefused(t *testing.T) {
	s := targetServer()
	for _, next := range refusedTargets {
		if got, ok := s.target(next); ok || got != (target{}) {
			t.Errorf("%.80q is taken: %+v", next, got)
		}
	}
}

func TestRefusedTargetsEndOnTheSafePage(t *testing.T) {
	for _, next := range refusedTargets {
		h := newFixture(t)
		w := h.do(postForm(form("username", "alice", "password", password, "next", next)))
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/auth/login" {
			t.Errorf("%.80q: %d to %q", next, w.Code, w.Header().Get("Location"))
		}
		w = h.do(request("GET", "/auth/login?next="+url.QueryEscape(next), "", ""))
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `name="next"`) {
			t.Errorf("%.80q: %d, in the form", next, w.Code)
		}
		w = h.do(request("POST", "/auth/logout", endpoint.FormType, form("next", next)))
		if w.Header().Get("Location") != "/auth/login" { // nobody was signed in
			t.Errorf("%.80q: signing out leads to %q", next, w.Header().Get("Location"))
		}
	}
}

func TestTwoTargetsAreNone(t *testing.T) {
	h := newFixture(t)
	for _, query := range []string{
		"next=%2Fa&next=%2Fb", "next=%2Fa&next=%2Fa", "next=%2Fa;next=%2Fb", "next=%2Fa&%6eext=%2Fb", "next=%zz",
		"next",
	} {
		w := h.do(request("GET", "/auth/login?"+query, "", ""))
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `name="next"`) {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
}

func TestAPlainBaseMayLeadToPlainOrigins(t *testing.T) {
	s := &Server{Base: mustURL("http://localhost:8081"), ReturnTo: []string{"http://localhost:8080"}}
	for _, c := range []struct {
		next string
		want bool
	}{
		{"http://localhost:8080/page?a=1&b=2", true}, {"/x", true}, {"/login", false}, {"/logout", false},
		{"http://localhost:8081/login?next=x", false}, {"http://localhost:80801/", false}, {"http://localhost/", false},
		{"https://localhost:8080/", false},
	} {
		t.Run(c.next, func(t *testing.T) {
			if got, ok := s.target(c.next); ok != c.want || ok && s.unreachable(got) {
				t.Errorf("%s: %+v, %v", c.next, got, ok)
			}
		})
	}
}

// browserOrigin reads an address as browsers do (WHATWG URL, for http and https), roughly and
// without trust in net/url: line ends and tabs vanish, outer spaces too, a backslash is a slash,
// any number of slashes introduces the host, and everything up to the last @ before the path is a
// user.
func browserOrigin(address, base string) string {
	address = strings.Trim(address,
		"\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n"+
			"\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f ")
	address = strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(address)
	scheme, rest, found := strings.Cut(address, ":")
	if !found || strings.ContainsAny(scheme, "/?#") {
		if !strings.HasPrefix(address, "//") {
			return base
		}
		scheme, _, _ = strings.Cut(base, ":")
		rest = address
	}
	rest = strings.TrimLeft(rest, "/")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = rest[at+1:]
	}
	return strings.ToLower(scheme) + "://" + strings.ToLower(rest)
}

func FuzzTargetHasAListedOriginForEveryReader(f *testing.F) {
	for _, next := range refusedTargets {
		f.Add(next)
	}
	for _, next := range []string{
		"/x?a=1&b=2#f", "https://app.example.com/x?a=1&b=2#f", "https://app.example.com:8443", "/@evil", "/:evil",
	} {
		f.Add(next)
	}
	s := targetServer()
	allowed := []string{"https://auth.example.com", "https://app.example.com", "https://app.example.com:8443"}
	f.Fuzz(func(t *testing.T, next string) {
		got, ok := s.target(next)
		if !ok {
			return
		}
		u, err := url.Parse(got.url)
		if err != nil || u.User != nil || !slices.Contains(allowed, u.Scheme+"://"+u.Host) {
			t.Errorf("%q: net/url reads %v, %v", next, u, err)
		}
		for _, address := range []string{got.url, next} {
			if origin := browserOrigin(address, "https://auth.example.com"); !slices.Contains(allowed, origin) ||
				origin != got.origin {
				t.Errorf("%q: a browser goes to %s", address, origin)
			}
		}
		if !strings.HasSuffix(got.url, next) {
			t.Errorf("%q became %q", next, got.url)
		}
		if strings.ContainsAny(got.url, "\r\n\t\\ ") {
			t.Errorf("%q has characters that readers disagree on", got.url)
		}
	})
}
