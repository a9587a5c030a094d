package gate

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestCheckForm reads request lines as a server does.
func TestCheckForm(t *testing.T) {
	for _, c := range []struct {
		line string
		ok   bool
	}{
		{"GET / HTTP/1.1", true},
		{"GET //a HTTP/1.1", true},
		{"OPTIONS * HTTP/1.1", true},
		{"GET http://app.example.com/x HTTP/1.1", true},
		{"GET https://app.example.com:8443/x HTTP/1.1", true},
		{"GET http://APP.example.com/ HTTP/1.0", true},
		{"GET * HTTP/1.1", false},
		{"POST * HTTP/1.1", false},
		{"GET http://app.example.com HTTP/1.1", false},
		{"GET http://app.example.com?x HTTP/1.1", false},
		{"OPTIONS http://app.example.com HTTP/1.1", false},
		{"GET http://user@app.example.com/ HTTP/1.1", false},
		{"GET ftp://app.example.com/ HTTP/1.1", false},
		{"GET x:http://app.example.com/admin HTTP/1.1", false},
		{"GET x:/admin HTTP/1.1", false},
		{"GET x:admin HTTP/1.1", false},
		{"GET http:admin HTTP/1.1", false},
		{"GET http:/admin HTTP/1.1", false},
		{"GET http:///admin HTTP/1.1", false},
		{"CONNECT app.example.com:443 HTTP/1.1", false},
		{"CONNECT /admin HTTP/1.1", false},
	} {
		t.Run(c.line, func(t *testing.T) {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(c.line + "\r\nHost: app.example.com\r\n\r\n")))
			if err != nil {
				t.Fatal(err)
			}
			checkRefusal(t, CheckForm(r, r.URL), c.ok)
			checkRefusal(t, CheckTarget(r, r.URL, PathForms{Undecided: true}), c.ok)
		})
	}
}

func TestCheckFormOfHosts(t *testing.T) {
	for _, c := range []struct {
		host string
		ok   bool
	}{
		{"", true}, // HTTP/1.0
		{"app", true},
		{"app.example.com", true},
		{"app.example.com:", true},
		{"app.example.com:443", true},
		{"[::1]", true},
		{"[::1]:443", true},
		{".", false},
		{"app.", false},
		{"app.example.com.", false},
		{"app.example.com..", false},
		{"app.example.com.:443", false},
		{"app.example.com:443:", false},
		{"app.example.com:443:443", false},
		{"::1", false},
		{"[::1]:443:443", false},
		{"[::ffff:192.0.2.1]:443", true},
		{"[app.example.com]", false},
		{"[app.example.com.]:443", false},
		{"[app.example.com:443]", false},
		{"[192.0.2.1]", false},
		{"[::1", false},
		{"[[::1]]", false},
		{"[::1]:443]", false},
		{"[app.example.com", false},
		{"app.[example].com", false},
		{"app.example.com]", false},
		{"app.example.com:443]", false},
		{"app.example.com:https", false},
		{"app.example.com:other.example.com", false},
		{"app.example.com:%34%34%33", false},
		{"app_1.example.com", true},
		{"[fe80::1%25eth0]:443", true},
		{"[::1]x", false},
		{"x[::1]", false},
		{"app.example.com,other.example.com", false},
		{"app.example.com/", false},
		{"app.example.com/.example.com", false},
		{"app.example.com?x", false},
		{"app.example.com#x", false},
		{`app.example.com\x`, false},
		{"x@app.example.com", false},
		{"app.example.com ", false},
		{"%61pp.example.com", false},
		{"app。example.com", false},
	} {
		t.Run(c.host, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			r.Host = c.host
			checkRefusal(t, CheckForm(r, r.URL), c.ok)
		})
	}
}

// TestCheckFormOfLaterProtocols: HTTP/2 and HTTP/3 say the authority apart from the path (RFC 9113,
// section 8.3.1).
func TestCheckFormOfLaterProtocols(t *testing.T) {
	connect := func(major int, proto string, header http.Header) *http.Request {
		return &http.Request{
			Method:     http.MethodConnect,
			ProtoMajor: major,
			Proto:      proto,
			Host:       "h",
			Header:     header,
			URL:        &url.URL{Path: "/ws"},
		}
	}
	for _, c := range []struct {
		name string
		r    *http.Request
		ok   bool
	}{
		{"h2 path", &http.Request{Method: "GET", ProtoMajor: 2, Host: "h", URL: &url.URL{Path: "/x"}}, true},
		{
			"h2 absolute",
			&http.Request{
				Method:     "GET",
				ProtoMajor: 2,
				Host:       "h",
				URL:        &url.URL{Scheme: "http", Host: "h", Path: "/x"},
			},
			false,
		},
		{"h2 CONNECT", &http.Request{Method: "CONNECT", ProtoMajor: 2, Host: "h:1", URL: &url.URL{Host: "h:1"}}, false},
		{"h2 CONNECT with a path", connect(2, "HTTP/2.0", nil), false},
		{"h2 extended CONNECT", connect(2, "HTTP/2.0", http.Header{":protocol": {"websocket"}}), true},
		{"h3 CONNECT with a path", connect(3, "HTTP/3.0", nil), false},
		{"h3 extended CONNECT", connect(3, "websocket", nil), true},
		{"h1 CONNECT that names a protocol", connect(1, "HTTP/1.1", http.Header{":protocol": {"websocket"}}), false},
		{
			"a host that was changed since",
			&http.Request{Method: "GET", ProtoMajor: 1, Host: "h", URL: &url.URL{Scheme: "http", Host: "o", Path: "/"}},
			false,
		},
	} {
		t.Run(c.name, func(t *testing.T) { checkRefusal(t, CheckForm(c.r, c.r.URL), c.ok) })
	}
}

func checkRefusal(t *testing.T, err error, ok bool) {
	t.Helper()
	if ok != (err == nil) || !ok && ReasonOf(err) != AmbiguousPath {
		t.Errorf("%v", err)
	}
}

// TestCheckTargetPaths: a path is refused unless the option that names its spelling, and no other,
// lets it pass.
func TestCheckTargetPaths(t *testing.T) {
	parameters, slashes := PathForms{Parameters: true}, PathForms{LeadingSlashes: true}
	dots, sessions := PathForms{TrailingDots: true}, PathForms{Sessions: true}
	none := PathForms{}
	for _, c := range []struct {
		raw     string
		opener  PathForms // zero where no option opens it
		passing bool      // for all
	}{
		{"/", none, true},
		{"/.well-known/x", none, true},
		{"/a..b/...c", none, true},
		{"/a//b", none, true},
		{"/a.b/c d/e", none, true},
		{"/wiki/(I_Can't)_Go(S(x))", none, true},
		{"/caf%C3%A9/%E0%A4%85/%F0%9F%90%98", none, true},
		{"/caf%E9", none, true},
		{"/private;x/s", parameters, false},
		{"/;x/private/s", parameters, false},
		{"/private%3bx", parameters, false},
		{"/private%3Bx/s", parameters, false},
		{"/x;", parameters, false},
		{"//public/admin", slashes, false},
		{"/%2fpublic/admin", slashes, false},
		{"/%2Fpublic", slashes, false},
		{"///x", slashes, false},
		{"/private./s", dots, false},
		{"/private.", dots, false},
		{"/private%2e", dots, false},
		{"/private%20/s", dots, false},
		{"/private .", dots, false},
		{"/...", dots, false},
		{"/(S(x))/private", sessions, false},
		{"/%28S%28x%29%29/private", sessions, false},
		{"/(a(x)S(y))/private", sessions, false},
		{"/(S(x))private", sessions, false},
		{"/x%00", none, false},
		{"/x%0a/y", none, false},
		{"/x%7f", none, false},
		{"/%c0%ae%c0%ae/x", none, false},
		{"/%f8%80%80%80%afadmin", none, false},
		{"/%fc%80%80%80%80%afadmin", none, false},
		{"/x%f8%80%80%80%ae", none, false},
		{"/%fe%80%80%80%80%80%afadmin", none, false},
		{"/%ff%80%80%80%80%80%87admin", none, false},
		{"/sm%f8rrebr%f8d", none, true},
		{"/x%c1%9cy", none, false},
		{"/%e0%80%af", none, false},
		{"/%f0%80%80%af", none, false},
	} {
		t.Run(c.raw, func(t *testing.T) {
			u, err := url.ParseRequestURI(c.raw)
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{Method: "GET", URL: u, ProtoMajor: 1}
			checkRefusal(t, CheckTarget(r, u, PathForms{Undecided: true}), true)
			for _, allowed := range []PathForms{none, parameters, slashes, dots, sessions} {
				checkRefusal(t, CheckTarget(r, u, allowed), c.passing || allowed == c.opener && c.opener != none)
			}
		})
	}
}

// TestDotSegmentsNeverPass: no option opens what every client would have resolved.
func TestDotSegmentsNeverPass(t *testing.T) {
	all := PathForms{Undecided: true, Parameters: true, LeadingSlashes: true, TrailingDots: true, Sessions: true}
	for _, path := range []string{
		"/public/../admin", "/admin/.", "/public/..;v=1/admin", `/public/..\admin`, `/\admin`,
	} {
		t.Run(path, func(t *testing.T) {
			checkRefusal(t, CheckTarget(&http.Request{Method: "GET"}, &url.URL{Path: path}, all), false)
		})
	}
}

// TestCheckTargetAllocatesNothing: every request of every gate goes through it.
func TestCheckTargetAllocatesNothing(t *testing.T) {
	r := &http.Request{Method: "GET", URL: &url.URL{Path: "/static/app.js"}, ProtoMajor: 1}
	if n := testing.AllocsPerRun(100, func() {
		if err := CheckTarget(r, r.URL, PathForms{}); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
