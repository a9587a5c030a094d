package integration

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// evilTargets are addresses of another host, in forms that browsers take for one.
var evilTargets = []string{
	"https://evil.example/x", "//evil.example/x", "///evil.example", "/\\evil.example", "\\\\evil.example",
	"https:evil.example", "https:/evil.example", "/\t/evil.example", "/%09/evil.example", "/\r\n//evil.example",
	"javascript:alert(1)//evil.example", "data:text/html,evil.example", "https://a.one.localhost@evil.example/",
	"https://a.one.localhost.evil.example/",
	"http://evil.example#@a.one.localhost", " https://evil.example", "/..//evil.example", "/.//evil.example",
	"//evil.example\\@a.one.localhost",
}

// leadsAstray reports whether an answer leads a browser that is at a host to one that is none of ours.
func (s seen) leadsAstray(ours func(host string) bool) string {
	for _, name := range []string{"Location", "Refresh", "Content-Location", "Link"} {
		for _, value := range s.header.Values(name) {
			base, err := url.Parse(s.at)
			if err != nil {
				return err.Error()
			}
			to, err := base.Parse(value)
			if err != nil || !ours(to.Hostname()) || name != "Location" {
				return name + ": " + value
			}
		}
	}
	for _, attribute := range []string{`href="`, `action="`, `src="`, `content="`} {
		rest := s.body
		for {
			_, after, found := strings.Cut(rest, attribute)
			if !found {
				break
			}
			value, tail, _ := strings.Cut(after, `"`)
			rest = tail
			path, _, _ := strings.Cut(value, "?")
			if strings.Contains(path, "evil.example") || strings.HasPrefix(value, "//") ||
				strings.HasPrefix(value, "/\\") {
				return attribute + value
			}
		}
	}
	return ""
}

// TestNoParameterLeadsAway: whatever a parameter or a field of a request says, no answer of the gateway at
// the host of an application leads to another host than the server's and this one.
func TestNoParameterLeadsAway(t *testing.T) {
	g := newHosts(t, hostsSites)
	ours := func(host string) bool { return host == "a.one.localhost" || host == "auth.localhost" }
	parameters := []string{
		"next", "switch", "state", "code", "iss", "error", "error_description", "error_uri", "redirect_uri",
		"return_to",
		"rd", "url", "target", "sent", "signed_out", "post_logout_redirect_uri", "client_id",
	}
	in, out := signedInAtServer(t, g, "alice", alicePassword), newSurfer(t)
	in.follow(in.open(g.at("a.one.localhost", "/")))
	paths := []string{"/.auth/login", "/.auth/callback", "/.auth/logout", "/.auth/session", "/.auth/x", "/"}
	for _, c := range []struct {
		name string
		v    *surfer
	}{{"signed in", in}, {"signed out", out}} {
		name, v := c.name, c.v
		for _, path := range paths {
			for _, parameter := range parameters {
				t.Run(name+path+" "+parameter, func(t *testing.T) {
					for _, target := range evilTargets {
						v.setCookie(g, "a.one.localhost", "__Host-sign_ins", "")
						got := v.open(g.at("a.one.localhost", path+"?"+parameter+"="+url.QueryEscape(target)))
						if astray := got.leadsAstray(ours); astray != "" {
							t.Errorf("%q: status %d, %s", target, got.status, astray)
						}
					}
				})
			}
			t.Run(name+path+" fields", func(t *testing.T) {
				for _, field := range []string{
					"Referer", "X-Forwarded-Host", "X-Forwarded-Server", "X-Forwarded-Proto", "X-Forwarded-Uri",
					"X-Forwarded-Prefix", "X-Original-Url", "X-Original-Host", "X-Rewrite-Url", "Forwarded", "X-Host",
				} {
					for _, target := range []string{"https://evil.example/x", "//evil.example/x", "evil.example",
						"host=evil.example;proto=http"} {
						v.setCookie(g, "a.one.localhost", "__Host-sign_ins", "")
						got := v.send(http.MethodGet, g.at("a.one.localhost", path), "", http.Header{field: {target}})
						if astray := got.leadsAstray(ours); astray != "" {
							t.Errorf("%s: %q: status %d, %s", field, target, got.status, astray)
						}
					}
				}
			})
		}
	}
	if got := in.open(g.at("a.one.localhost", "/")); got.status != http.StatusOK {
		t.Errorf("it was not asked as somebody who is signed in: status %d", got.status)
	}
	post := http.Header{"Origin": {g.at("a.one.localhost", "")}, "Referer": {"https://evil.example/"}}
	logout := g.at("a.one.localhost", "/.auth/logout?next=")
	for _, target := range evilTargets {
		form := url.Values{"next": {target}, "redirect_uri": {target}, "post_logout_redirect_uri": {target}}.Encode()
		got := newSurfer(t).send(http.MethodPost, logout+url.QueryEscape(target), form, post)
		if astray := got.leadsAstray(ours); astray != "" {
			t.Errorf("signing out with %q: status %d, %s", target, got.status, astray)
		}
	}
}

// TestEntryPathsStayOnTheHost: a sign-in that begins at a path that looks like another host ends at that
// very path of this one, or on a page that refuses it.
func TestEntryPathsStayOnTheHost(t *testing.T) {
	g := newHosts(t, hostsSites)
	for _, entry := range []string{
		"//evil.example/x", "///evil.example/x", "/%2F%2Fevil.example/x", "/%2Fevil.example", "/%5Cevil.example",
		"/\\evil.example/x", "/.//evil.example", "/x/..//evil.example", "/;@evil.example", "/@evil.example",
		"/?next=//evil.example", "/%09//evil.example", "/.auth//evil.example",
		"//evil.example/.auth/callback", "//evil.example/.auth/login", "/%2e%2e//evil.example",
	} {
		t.Run(entry, func(t *testing.T) {
			status, location := g.rawGet(t, "a.one.localhost", entry)
			if status != http.StatusSeeOther {
				if status < http.StatusBadRequest || location != "" {
					t.Errorf("status %d to %s", status, location)
				}
				return
			}
			if !strings.HasPrefix(location, g.at("auth.localhost", "/authorize?")) {
				t.Fatalf("sent to %s", location)
			}
			// Who follows has no cookie of the attempt: the browser is another one.
			v := signedInAtServer(t, g, "alice", alicePassword)
			answer := v.open(location).location()
			if !strings.HasPrefix(answer, g.at("a.one.localhost", "/.auth/callback?")) {
				t.Errorf("the answer goes to %s", answer)
			}
			// A browser of its own comes back to this host.
			address := g.at("a.one.localhost", "") + entry
			if u, err := url.Parse(address); err != nil || u.RequestURI() != entry {
				return // net/http would send something else
			}
			page, way := v.follow(v.open(address))
			hosts := []string{g.at("a.one.localhost", "/"), g.at("auth.localhost", "/")}
			for _, at := range append(way, page.at) {
				if !slices.ContainsFunc(hosts, func(host string) bool { return strings.HasPrefix(at, host) }) {
					t.Errorf("on the way: %s", at)
				}
			}
			if page.at != address {
				t.Errorf("at %s: status %d", page.at, page.status)
			}
		})
	}
}

// rawGet sends a request target as it is, as a person's browser would ask, and returns status and Location.
func (g *gateway) rawGet(t *testing.T, host, target string) (status int, location string) {
	t.Helper()
	at := strings.TrimPrefix(g.at(host, ""), "https://")
	conn := tls.Client(mustDial(t, g.addr("https")), &tls.Config{InsecureSkipVerify: true, ServerName: host})
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/html\r\nConnection: close\r\n\r\n", target, at)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}
