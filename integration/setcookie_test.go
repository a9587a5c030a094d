package integration

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// fixations are cookies of the gateway's names, in forms that browsers take for them or an
// application might.
var fixations = slices.Concat(signInFixations, []string{
	"access_token=fixed; Path=/", "access_token =fixed", "\taccess_token\t=fixed", "=access_token=fixed",
	"= =access_token=fixed", "access_token", "refresh_token=fixed; Path=/", "__Host-access_token=fixed; Path=/; Secure",
	"__HOST-access_token=fixed; Path=/; Secure", "__host-Refresh_Token=fixed; Path=/; Secure",
	"=__Host-access_token=fixed; Path=/; Secure", "Access_Token=fixed",
})

// fixator is an application that sets them wherever an answer has fields, and cookies of its own.
// It says which user it was told of.
func fixator(t *testing.T) *httptest.Server {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Set-Cookie"] = append([]string{"early=theirs"}, fixations...)
		w.WriteHeader(http.StatusEarlyHints)
		h["Set-Cookie"] = append([]string{"theirs=1"}, fixations...)
		h.Set("Trailer", "Set-Cookie, X-Late")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "user:"+r.Header.Get("X-User-Id")+";")
		h["Set-Cookie"] = fixations
		h[http.TrailerPrefix+"Set-Cookie"] = fixations
		h.Set("X-Late", "late-theirs")
	}))
	t.Cleanup(app.Close)
	return app
}

const fixationSites = `
{{url "auth"}} {
	log
	auth_server
	reverse_proxy {{.App}}
}
{{url "api"}} {
	jwt_auth api
	reverse_proxy {{.App}}
}
{{url "matcher"}} {
	jwt_auth /private* api {
		forward sub X-User-Id
	}
	reverse_proxy {{.App}}
}
{{url "off"}} {
	jwt_auth off
	reverse_proxy {{.App}}
}
{{url "report"}} {
	jwt_auth api {
		mode report_only
	}
	reverse_proxy {{.App}}
}
{{url "explicit"}} {
	jwt_auth api
	handle_errors {
		jwt_auth off
		reverse_proxy {{.App}}
	}
}
{{url "codes"}} {
	handle_errors 401 {
		reverse_proxy {{.App}}
	}
	handle_errors {
		respond "other"
	}
	jwt_auth api
}
{{url "failed"}} {
	jwt_auth api {
		forward sub X-User-Id
	}
	reverse_proxy 127.0.0.1:1
	handle_errors {
		reverse_proxy {{.App}}
	}
}
http://one.localhost:{{port "two"}} {
	basic_auth /secret* {
		alice {{hash "alice"}}
	}
	handle /x* {
		jwt_auth api
	}
	handle_errors {
		reverse_proxy {{.App}}
	}
}
http://two.localhost:{{port "two"}} {
	basic_auth /secret* {
		alice {{hash "alice"}}
	}
	handle_errors {
		reverse_proxy {{.App}}
	}
}
http://three.localhost:{{port "two"}} {
	auth_server /nowhere*
	basic_auth /secret* {
		alice {{hash "alice"}}
	}
	handle_errors {
		reverse_proxy {{.App}}
	}
}
`

// TestNoApplicationSetsOurCookies: where people sign in with a browser, no answer sets the
// gateway's cookies but the gateway's own: with gates for programs alone, through a strip, from
// beside the server's routes, and from error routes, in interim answers and trailers, too.
func TestNoApplicationSetsOurCookies(t *testing.T) {
	g := newGateway(t)
	g.extra["App"] = fixator(t).Listener.Addr().String()
	g.load(standardAuth, fixationSites)
	alice := "Authorization: Bearer " + g.tokens.mint("es1", "alice", nil)
	for _, c := range []struct {
		name, site, host, target string
		lines                    []string
		passes                   bool // what is no business of ours is left alone
		user                     string
	}{
		{name: "a gate for programs", site: "api", lines: lines(alice)},
		{name: "a public path", site: "matcher", target: "/public"},
		{name: "a strip", site: "off"},
		{name: "beside the server's routes", site: "auth", user: "eve"},
		{name: "report_only touches nothing", site: "report", passes: true, user: "eve"},
		{name: "an error route with a strip", site: "explicit"},
		{name: "an error route", site: "codes"},
		{name: "an error route after the application failed", site: "failed", lines: lines(alice), user: "alice"},
		{name: "an error route before the gate", site: "two", host: "one.localhost", target: "/secret"},
		{
			name:   "an error route of a site without gates",
			site:   "two",
			host:   "two.localhost",
			target: "/secret",
			passes: true,
			user:   "eve",
		},
		{name: "an error route of the server's site", site: "two", host: "three.localhost", target: "/secret"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := g.host(c.site)
			if c.host != "" {
				host = c.host + strings.TrimPrefix(host, "localhost")
			}
			raw := rawAnswer(t, g.addr(c.site),
				call{
					target: c.target,
					host:   host,
					lines:  lines(c.lines, "X-User-Id: eve", "TE: trailers", "Connection: close"),
				})
			if !strings.Contains(raw, "early=theirs") || !strings.Contains(raw, "theirs=1") ||
				!strings.Contains(raw, "late-theirs") {
				t.Fatalf("the application's own is missing: %q", raw)
			}
			if c.passes {
				if strings.Count(raw, "fixed") < 2*len(fixations)-2 {
					t.Errorf("taken out of an answer that is none of our business: %q", raw)
				}
			} else if strings.Contains(strings.ToLower(raw), "cess_token") || strings.Contains(raw, "fixed") {
				t.Errorf("the browser gets %q", raw)
			}
			if !strings.Contains(raw, "user:"+c.user+";") {
				t.Errorf("the application was not told of %q: %q", c.user, raw)
			}
		})
	}
	t.Run("an upgrade beside the server's routes", func(t *testing.T) {
		got := rawAnswer(t, g.addr("auth"), call{host: g.host("auth"), lines: lines(h2c, "Connection: close")})
		if strings.Contains(got, "101 Switching") {
			t.Errorf("%q", got)
		}
	})
}

// rawAnswer returns everything that comes back, byte by byte.
func rawAnswer(t *testing.T, addr string, c call) string {
	t.Helper()
	conn := mustDial(t, addr)
	defer conn.Close()
	if _, err := io.WriteString(conn, c.text()); err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%v after %q", err, raw)
	}
	return string(raw)
}

// caching is what an application may say to caches (RFC 9111, RFC 9213, and the fields of vendors).
var caching = []string{
	"Cache-Control: public, max-age=600", "CDN-Cache-Control: max-age=600", "Cloudflare-CDN-Cache-Control: max-age=600",
	"Vercel-CDN-Cache-Control: max-age=600", "Netlify-CDN-Cache-Control: public, max-age=600",
	"Surrogate-Control: max-age=600", "X-LiteSpeed-Cache-Control: public,max-age=600", "X-Accel-Expires: 600",
	"Edge-Control: cache-maxage=10m", "Akamai-Cache-Control: max-age=600", "Expires: Thu, 01 Jan 2099 00:00:00 GMT",
	"Pragma: public", "Surrogate-Key: page", "ETag: \"1\"", "Age: 5",
}

// TestRenewedCookiesAreNotKept: an answer with the gateway's cookies is for one browser alone,
// whatever the application says to which cache.
func TestRenewedCookiesAreNotKept(t *testing.T) {
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = "10s", aliceAs(alicePassword)
	g.load(sessionAuth, renewalSites)
	for _, site := range []string{"api", "viewers", "errors", "errors-off", "errors-twice"} {
		t.Run(site, func(t *testing.T) {
			held := g.signIn(t, "alice", alicePassword)
			g.proxy.answerWith(append([]string{"Set-Cookie: theme=dark"}, caching...)...)
			a := g.get(t, site, "/", "", cookies{refresh: held.refresh}.lines()...)
			if got := g.received(a); got.access == "" || got.refresh == "" {
				t.Fatalf("not renewed: status %d, Set-Cookie %q", a.status, a.header.Values("Set-Cookie"))
			}
			for _, line := range caching {
				name, _, _ := strings.Cut(line, ":")
				got := strings.Join(a.header.Values(name), " | ")
				switch name {
				case "Cache-Control":
					if got != "private, no-store" {
						t.Errorf("Cache-Control: %s", got)
					}
				case "Surrogate-Key", "ETag":
				default:
					if got != "" {
						t.Errorf("%s: %s", name, got)
					}
				}
			}
			got := g.received(a)
			a = g.get(t, site, "/", "", got.lines()...)
			if site != "viewers" && len(cookiesIn(a)) != 1 {
				t.Errorf("without a renewal: Set-Cookie %q", a.header.Values("Set-Cookie"))
			}
			if name := "CDN-Cache-Control"; site == "api" && a.header.Get(name) == "" {
				t.Errorf("without a renewal %s is gone", name)
			}
		})
	}
}
