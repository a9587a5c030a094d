package integration

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// wrapperSites have handlers that put a writer of their own between two of the gateway's.
const wrapperSites = `
{{url "auth"}} {
	route {
		jwt_auth off
		{{.Intercept}}
		auth_server
	}
}
{{url "encode"}} {
	route {
		jwt_auth /admin* web {
			require role admin
		}
		encode gzip
		jwt_auth web
		reverse_proxy {{.Proxy}}
	}
}
{{url "strip"}} {
	route {
		jwt_auth off
		encode gzip
		route {
			jwt_auth web
			reverse_proxy {{.Proxy}}
		}
	}
}
{{url "report"}} {
	route {
		jwt_auth web api {
			mode report_only
		}
		encode gzip
		jwt_auth web
		reverse_proxy {{.Proxy}}
	}
}
{{url "both"}} {
	route {
		jwt_auth web
		encode gzip
		jwt_auth web
		templates
		jwt_auth web
		reverse_proxy {{.Proxy}}
	}
}
{{url "templates"}} {
	route {
		jwt_auth /admin* web
		templates
		jwt_auth web
		reverse_proxy {{.Proxy}}
	}
}
{{url "intercept"}} {
	route {
		jwt_auth /admin* web
		{{.Intercept}}
		jwt_auth web
		reverse_proxy {{.Proxy}}
	}
}
{{url "replaced"}} {
	route {
		jwt_auth /admin* web
		intercept {
			handle_response {
				reverse_proxy {{.Proxy}}
			}
		}
		jwt_auth web
		respond "instead of this" 404
	}
}
{{url "handle_response"}} {
	route {
		jwt_auth /admin* web
		reverse_proxy {{.Proxy}} {
			handle_response {
				encode gzip
				jwt_auth web
				copy_response
			}
		}
	}
}
{{url "errors"}} {
	route {
		jwt_auth /admin* web
		encode gzip
		jwt_auth web {
			require role viewer
		}
	}
	handle_errors {
		route {
			encode gzip
			jwt_auth off
			{{.Intercept}}
			jwt_auth off
			reverse_proxy {{.Proxy}}
		}
	}
}
`

// TestOurCookiesPassOtherWriters: what one of the gateway's handlers sets, no other of the request
// takes for an application's, whatever stands between them; what an application sets, all of them
// do. A token that is used up while its successor gets lost ends the session.
func TestOurCookiesPassOtherWriters(t *testing.T) {
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = "0s", aliceAs(alicePassword)
	g.extra["Intercept"] = "intercept {\n@never status 599\nhandle_response @never {\nrespond never\n}\n}"
	g.load(sessionAuth, wrapperSites)
	fixed := []string{
		"Set-Cookie: theme=dark", "Set-Cookie: access_token=fixed", "Set-Cookie: refresh_token=fixed",
		"Cache-Control: public, max-age=600",
	}
	for _, site := range []string{
		"encode", "strip", "report", "both", "templates", "intercept", "replaced", "handle_response", "errors",
	} {
		t.Run(site, func(t *testing.T) {
			held := g.signIn(t, "alice", alicePassword)
			for range 2 {
				g.proxy.answerWith(fixed...)
				a := g.get(t, site, "/x", "",
					append(cookies{refresh: held.refresh}.lines(), "Accept-Encoding: gzip")...)
				held = g.received(a)
				if got := a.header.Values("Set-Cookie"); len(got) != 3 || held.access == "" || held.refresh == "" ||
					held.access == "fixed" || held.refresh == "fixed" {
					t.Fatalf("status %d, Set-Cookie %q", a.status, got)
				}
				if got := a.header.Values("Cache-Control"); !slices.Equal(got, []string{"private, no-store"}) {
					t.Errorf("Cache-Control %q", got)
				}
			}
			g.signOut(t, held)
			g.proxy.answerWith(fixed...)
			a := g.get(t, site, "/x", "", cookies{refresh: held.refresh}.lines()...)
			cleared := 0
			for _, line := range a.header.Values("Set-Cookie") {
				if strings.HasPrefix(line, "access_token=;") || strings.HasPrefix(line, "refresh_token=;") {
					cleared++
				}
				if strings.Contains(line, "fixed") {
					t.Errorf("Set-Cookie %q", line)
				}
			}
			if cleared != 2 {
				t.Errorf("of a session that is over: status %d, Set-Cookie %q", a.status, a.header.Values("Set-Cookie"))
			}
		})
	}
}

// TestRefusalsAreNotKept: a refusal is for one client alone, whoever answers in its place and
// whatever he says to caches.
func TestRefusalsAreNotKept(t *testing.T) {
	const sites = `
{{url "proxied"}} {
	jwt_auth api
	handle_errors {
		reverse_proxy {{.Proxy}}
	}
}
{{url "encoded"}} {
	route {
		encode gzip
		jwt_auth api
	}
	handle_errors {
		route {
			encode gzip
			jwt_auth off
			reverse_proxy {{.Proxy}}
		}
	}
}
{{url "operator"}} {
	route {
		header CDN-Cache-Control "max-age=600"
		header Surrogate-Control "max-age=600"
		jwt_auth api
	}
}
`
	for _, c := range []struct{ name, more string }{{"programs alone", ""}, {"browsers", authSite}} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			g.load(standardAuth, c.more+sites)
			for _, site := range []string{"proxied", "encoded", "operator"} {
				g.proxy.answerWith(caching...)
				a := g.get(t, site, "/x", "")
				if (a.status != http.StatusOK) != (site == "operator") {
					t.Errorf("%s: status %d", site, a.status)
				}
				for _, line := range caching {
					name, _, _ := strings.Cut(line, ":")
					got := a.header.Values(name)
					switch {
					case name == "Cache-Control" && !slices.Equal(got, []string{"no-store"}):
						t.Errorf("%s: Cache-Control %q", site, got)
					case name != "Cache-Control" && name != "Surrogate-Key" && name != "ETag" && len(got) > 0:
						t.Errorf("%s: %s %q", site, name, got)
					}
				}
			}
		})
	}
}

// TestTrailersNobodyAnnouncedSetNoCookies: proxies pass trailers on that the header did not name,
// and over HTTP/2 no header has to.
func TestTrailersNobodyAnnouncedSetNoCookies(t *testing.T) {
	g := newGateway(t)
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "x")
		_ = http.NewResponseController(w).Flush()
		w.Header()[http.TrailerPrefix+"Set-Cookie"] = slices.Clone(fixations)
		w.Header().Set(http.TrailerPrefix+"X-Late", "late-theirs")
	})
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	g.extra["App"] = server.Listener.Addr().String()
	g.load(standardAuth, `
{{url "auth"}} {
	auth_server
	reverse_proxy {{.App}}
}
{{url "public"}} {
	jwt_auth /private* api
	encode gzip
	handle {
		jwt_auth off
		reverse_proxy {{.App}}
	}
}
{{url "errors"}} {
	jwt_auth api
	handle_errors {
		reverse_proxy {{.App}}
	}
}
`)
	for _, version := range []int{1, 2} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		defer transport.CloseIdleConnections()
		transport.Protocols.SetHTTP1(version == 1)
		transport.Protocols.SetUnencryptedHTTP2(version == 2)
		for _, site := range []string{"auth", "public", "errors"} {
			a, err := (&http.Client{Transport: transport}).Get(g.url(site) + "/x")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, a.Body)
			a.Body.Close()
			if a.ProtoMajor != version || a.Trailer.Get("X-Late") != "late-theirs" ||
				len(a.Trailer.Values("Set-Cookie")) > 0 {
				t.Errorf("%s over %s: trailer %q", site, a.Proto, a.Trailer)
			}
		}
	}
}

// TestSigningInBehindOtherHandlers: what a person does at the server counts more than what a gate
// before it renewed meanwhile, and the server's leave to set its cookies is not an application's
// that answers in its place.
func TestSigningInBehindOtherHandlers(t *testing.T) {
	for _, c := range []struct{ name, before string }{
		{"a gate", "jwt_auth web {\nmode optional\n}"},
		{"a gate and a writer", "jwt_auth web {\nmode optional\n}\nencode gzip"},
		{
			"an application that answers instead",
			"jwt_auth off\nintercept {\n@done status 303\nhandle_response @done {\nheader +Set-Cookie " +
				"access_token=fixed\nheader +Set-Cookie refresh_token=fixed\nrespond instead\n}\n}",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			g.extra["Reuse"], g.extra["Alice"] = "0s", aliceAs(alicePassword)
			g.load(sessionAuth, "{{url \"auth\"}} {\nroute {\n"+c.before+"\nauth_server\n}\n}\n")
			_, a := g.formLogin(t, "bob", bobPassword, "")
			if strings.Contains(c.before, "respond instead") != (a.status == http.StatusOK) {
				t.Fatalf("status %d", a.status)
			}
			g.checkCookies(t, "signing in", a, false, "", nil)
			bob := g.received(a)
			_, a = g.formLogin(t, "alice", alicePassword, "", cookies{refresh: bob.refresh}.lines()...)
			g.checkCookies(t, "signing in as somebody else", a, false, "", nil)
			alice := g.received(a)
			if got := claimsIn(t, alice.access)["sub"]; got != "alice" {
				t.Errorf("the browser is %q", got)
			}
			lines := append(cookies{refresh: alice.refresh}.lines(), "Origin: "+g.url("auth"),
				"Sec-Fetch-Site: same-origin", "Content-Type: application/x-www-form-urlencoded", "Accept: text/html")
			a = g.ask(t, "auth", call{method: http.MethodPost, target: "/logout", lines: lines, body: "x=1"})
			g.checkCookies(t, "signing out", a, true, "", nil)
		})
	}
}

// TestNobodyReadsRenewedCookies: until the answer goes out, the cookies are not in the header,
// where templates and placeholders would find them.
func TestNobodyReadsRenewedCookies(t *testing.T) {
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = "0s", aliceAs(alicePassword)
	spy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `template:{{.RespHeader.Get "Set-Cookie"}}; placeholder:`+r.Header.Get("X-Leak")+";")
	}))
	t.Cleanup(spy.Close)
	g.extra["Spy"] = spy.Listener.Addr().String() + " {\nheader_up X-Leak \"{http.response.header.Set-Cookie}\"\n}"
	const fails = "handle /x {\nerror 404\n}\n"
	const errors = "\nhandle_errors {\ntemplates\nreverse_proxy {{.Spy}}\n}\n"
	const replaces = "intercept {\nhandle_response {\nreverse_proxy {{.Spy}}\n}\n}\n"
	cases := []struct{ name, routes string }{
		{"an error route", "jwt_auth web\n" + fails + errors},
		{"an error route after two gates", "route {\njwt_auth web\nencode gzip\njwt_auth web\nerror 404\n}" + errors},
		{"an error route after a refusal", "jwt_auth web {\nrequire role nobody\n}" + errors},
		{
			"an error route beside the server's routes",
			"route {\njwt_auth web\nauth_server /nowhere*\nerror 404\n}" + errors,
		},
		{"no route for this error", "jwt_auth web\n" + fails + "handle_errors 500 {\nrespond other\n}\n"},
		{"an error route that fails", "jwt_auth web\n" + fails + "handle_errors {\nerror 500\n}\n"},
		{"intercept between gates", "route {\njwt_auth off\n" + replaces + "jwt_auth web\nrespond instead 404\n}"},
		{"templates between gates", "route {\njwt_auth off\ntemplates\njwt_auth web\nreverse_proxy {{.Spy}}\n}"},
		{
			"host changed on the way",
			"route {\njwt_auth web\nrequest_header Host other.example\nerror 404\n}\nhandle_errors {\n" +
				"respond other\n}\n",
		},
	}
	var sites strings.Builder
	for _, c := range cases {
		sites.WriteString(siteOf(strings.ReplaceAll(c.name, " ", "-"), c.routes))
	}
	sites.WriteString("{{url \"plain\"}} {\njwt_auth web\n" + fails + "}\n")
	g.load(sessionAuth, authSite+sites.String())
	for _, c := range append(cases, struct{ name, routes string }{name: "plain"}) {
		t.Run(c.name, func(t *testing.T) {
			held := g.signIn(t, "alice", alicePassword)
			a := g.get(t, strings.ReplaceAll(c.name, " ", "-"), "/x", "", cookies{refresh: held.refresh}.lines()...)
			if got := g.received(a); got.access == "" || got.refresh == "" || len(a.header.Values("Set-Cookie")) != 2 {
				t.Errorf("status %d, Set-Cookie %q", a.status, a.header.Values("Set-Cookie"))
			}
			if strings.Contains(a.body, "_token") {
				t.Errorf("the application reads %q", a.body)
			}
			if strings.Contains(c.routes, "Spy") && !strings.Contains(a.body, "placeholder:;") {
				t.Errorf("the body is %q", a.body)
			}
		})
	}
}

// TestAnIncludedPageRenewsNothing: `httpInclude` of templates asks this server again with the
// browser's cookies, and drops the header of the answer. A token that is used up there would be
// missed by the browser.
func TestAnIncludedPageRenewsNothing(t *testing.T) {
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = "0s", aliceAs(alicePassword)
	g.extra["Include"] = "`{{httpInclude \"/inner\"}}`"
	g.load(sessionAuth, apiSite+`
{{url "public"}} {
	handle /inner {
		jwt_auth web {
			mode optional
		}
		respond "inner {http.auth.user.id}"
	}
	handle {
		templates {
			mime text/plain
		}
		respond {{.Include}}
	}
}
`)
	held := g.signIn(t, "alice", alicePassword)
	for _, c := range []struct {
		name, body string
		cookies    cookies
	}{
		{"with the refresh token", "inner ", cookies{refresh: held.refresh}},
		{"again", "inner ", cookies{refresh: held.refresh}},
		{"with both tokens", "inner alice", held},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := g.visit(t, "public", c.cookies)
			if a.status != http.StatusOK || a.body != c.body || len(cookiesIn(a)) > 0 {
				t.Errorf("status %d, body %q, Set-Cookie %q", a.status, a.body, a.header.Values("Set-Cookie"))
			}
		})
	}
	g.renewed(t, held.refresh)
}
