package verdict

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestOnlyPermitOpens: whatever a handler does, success that is not Permit's is a refusal.
func TestOnlyPermitOpens(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(a *Answer)
		status int
		body   string
	}{
		{"permit", func(a *Answer) { a.Permit(httptest.NewRequest("GET", "/", nil), nil) }, 200, ""},
		{"a body", func(a *Answer) { io.WriteString(a, "hello") }, 403, ""},
		{"a status and a body", func(a *Answer) { a.WriteHeader(204); io.WriteString(a, "hello") }, 403, ""},
		{"an interim answer", func(a *Answer) { a.WriteHeader(103); io.WriteString(a, "hello") }, 403, ""},
		{"a refusal", func(a *Answer) { a.WriteHeader(401); io.WriteString(a, "no") }, 401, "no"},
		{"a refusal that changes its mind", func(a *Answer) { a.WriteHeader(401); a.WriteHeader(200) }, 401, ""},
		{"a permission after a refusal", func(a *Answer) {
			a.WriteHeader(401)
			a.Permit(httptest.NewRequest("GET", "/", nil), nil)
		}, 401, ""},
		{"flushing", func(a *Answer) {
			if err := http.NewResponseController(a).Flush(); err == nil {
				panic("it can be flushed")
			}
			a.WriteHeader(401)
		}, 401, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			c.answer(NewAnswer(w, dialects["traefik"]))
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("status %d, body %q", w.Code, w.Body)
			}
		})
	}
}

// TestForeignSuccessTellsNothing: the fields of an application that answered by itself are dropped.
func TestForeignSuccessTellsNothing(t *testing.T) {
	w := httptest.NewRecorder()
	a := NewAnswer(w, dialects["traefik"])
	a.Header().Set("X-User-Id", "alice")
	a.Header().Set("Set-Cookie", "a=b")
	a.WriteHeader(200)
	if got := w.Result().Header; len(got) != 0 || !a.Foreign() {
		t.Errorf("fields %v, foreign %v", got, a.Foreign())
	}
}

// TestAbsentFieldsAreEmpty: a proxy that copies the field overwrites what its client sent, and Envoy is
// told to remove it.
func TestAbsentFieldsAreEmpty(t *testing.T) {
	for _, name := range Dialects() {
		t.Run(name, func(t *testing.T) {
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
			r.Header.Set("X-User-Id", "bob")
			NewAnswer(w, dialects[name]).Permit(r, []string{"X-User-Id", "X-User-Role", "Cookie"})
			got := w.Result().Header
			if len(got["X-User-Role"]) != 1 || len(got["Cookie"]) != 1 ||
				got.Get("X-User-Role")+got.Get("Cookie") != "" {
				t.Errorf("fields %v", got)
			}
			removed := got.Get("X-Envoy-Auth-Headers-To-Remove")
			if want := "X-User-Role, Cookie"; name == "envoy" && removed != want || name != "envoy" && removed != "" {
				t.Errorf("it is told to remove %q", removed)
			}
		})
	}
}

func TestStatusesForNginx(t *testing.T) {
	for _, c := range []struct{ status, want int }{
		{301, 401}, {303, 401}, {400, 403}, {401, 401}, {403, 403}, {404, 403}, {429, 403}, {500, 500}, {503, 503},
	} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			w := httptest.NewRecorder()
			NewAnswer(w, dialects["nginx"]).WriteHeader(c.status)
			if w.Code != c.want {
				t.Errorf("%d, want %d", w.Code, c.want)
			}
		})
	}
}

// TestCookiesOneByOne: what the proxy is told is not left where a log finds it.
func TestCookiesOneByOne(t *testing.T) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("HTTP/%d", version), func(t *testing.T) {
			left := make(chan http.Header, 1)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for i := range maxCookies + 1 {
					w.Header().Add("Set-Cookie", fmt.Sprintf("c%d=%d; Path=/", i, i))
				}
				NewAnswer(w, dialects["nginx"]).Permit(r, []string{"X-User-Id"})
				left <- w.Header().Clone()
			}))
			server.EnableHTTP2 = version == 2
			server.StartTLS()
			defer server.Close()
			r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-User-Id", "alice")
			resp, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.ProtoMajor != version {
				t.Fatalf("HTTP/%d", resp.ProtoMajor)
			}
			for i := range maxCookies {
				name := fmt.Sprintf("X-Auth-Set-Cookie-%d", i+1)
				if got, want := resp.Header.Get(name), fmt.Sprintf("c%d=%d; Path=/", i, i); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if got := resp.Header["Set-Cookie"]; len(got) != maxCookies+1 {
				t.Errorf("Set-Cookie: %q", got)
			}
			if got := resp.Header.Get("X-User-Id"); got != "alice" {
				t.Errorf("X-User-Id: %q", got)
			}
			for name := range <-left {
				if strings.HasPrefix(name, setCookie) {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// TestCookiesThatAreSetComeFirst: what is cleared may be lost where there are more than the proxy can copy.
func TestCookiesThatAreSetComeFirst(t *testing.T) {
	for _, cleared := range []int{0, 2, 5, 12} {
		t.Run(fmt.Sprint(cleared), func(t *testing.T) {
			w := httptest.NewRecorder()
			a := NewAnswer(w, dialects["nginx"])
			for i := range cleared {
				http.SetCookie(a, &http.Cookie{Name: fmt.Sprint("old", i), Path: "/", MaxAge: -1})
			}
			for _, name := range []string{"first", "second"} {
				http.SetCookie(a, &http.Cookie{Name: name, Value: "Max-Age=0", Path: "/", MaxAge: 60})
			}
			a.WriteHeader(http.StatusSeeOther)
			got := fmt.Sprint(w.Result().Header)
			for _, name := range []string{"first", "second"} {
				if strings.Count(got, name+"=") != 2 {
					t.Errorf("%s is not in a field of its own: %s", name, got)
				}
			}
			if n := strings.Count(got, "X-Auth-Set-Cookie-"); n != min(cleared+2, maxCookies) {
				t.Errorf("%d fields: %s", n, got)
			}
		})
	}
}

// TestRefusalsTellScriptsNothing: most proxies hand a refusal to the client as it is, whose scripts
// may read all fields but Set-Cookie.
func TestRefusalsTellScriptsNothing(t *testing.T) {
	for _, name := range Dialects() {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			a := NewAnswer(w, dialects[name])
			a.Header().Set("Set-Cookie", "access_token=secret")
			a.WriteHeader(403)
			if got, want := w.Result().Header.Get(setCookie+"1") != "", name == "nginx"; got != want {
				t.Errorf("the cookie has a field of its own: %v, want %v", got, want)
			}
		})
	}
}

// FuzzAsked: what gates are asked about is what the proxy said, byte for byte, whatever the asking
// request is like.
func FuzzAsked(f *testing.F) {
	f.Add("GET", "https", "app.example", "/x?y=1", "nginx")
	f.Add("GET", "https", "app.example:8443", "//x/..;/y", "traefik")
	f.Add("POST", "http", "[::1]:80", "https://app.example/x", "envoy")
	f.Add("GET", "http", "app.example", "/a#b", "nginx")
	f.Fuzz(func(t *testing.T, method, scheme, host, uri, proxy string) {
		d, known := DialectOf(proxy)
		if !known {
			return
		}
		r := httptest.NewRequest("GET", "/asking", nil)
		r.Header = http.Header{
			forwardedMethod: {method}, forwardedProto: {scheme}, forwardedHost: {host}, forwardedURI: {uri},
			originalMethod: {method}, originalURL: {scheme + "://" + host + uri},
			"Upgrade": {"websocket"}, "X-Kept": {"x"},
		}
		if proxy == "envoy" {
			r.Method, r.Host, r.RequestURI = method, host, uri
		}
		what, err := d.Asked(r)
		if err != nil {
			return
		}
		asked, err := what.Request(r)
		if err != nil {
			return
		}
		if strings.Contains(asked.RequestURI, "#") || asked.Header.Get("Upgrade") != "websocket" {
			t.Errorf("target %q, upgrade %q", asked.RequestURI, asked.Header["Upgrade"])
		}
		if asked.Method != method || asked.RequestURI != uri || asked.Host != host {
			if proxy != "nginx" || asked.Host+asked.RequestURI != host+uri { // there the two are one text
				t.Errorf("%s %q %q, want %s %q %q", asked.Method, asked.Host, asked.RequestURI, method, host, uri)
			}
		}
		if strings.ContainsAny(asked.Host, ",/@\\ ") || (asked.TLS != nil) != (scheme == "https") ||
			asked.TLS != nil && len(asked.TLS.PeerCertificates) > 0 {
			t.Errorf("host %q, TLS %v for %q", asked.Host, asked.TLS != nil, scheme)
		}
		for _, name := range dropped {
			if name == "Upgrade" || name == "Connection" { // of a WebSocket
				continue
			}
			if _, there := asked.Header[name]; there {
				t.Errorf("%s is there", name)
			}
		}
		if len(asked.Header[forwardedHost]) != 1 || asked.Header[forwardedHost][0] != asked.Host ||
			asked.Header.Get("X-Kept") != "x" {
			t.Errorf("fields %v", asked.Header)
		}
	})
}
