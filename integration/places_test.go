package integration

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// pathSpellings are paths that some applications read as others, by the option that lets each pass.
// The guarded paths of the tests begin with /private.
var pathSpellings = []struct{ option, target string }{
	{"path_parameters", "/private;x/s"},
	{"path_parameters", "/;x/private/s"},
	{"path_parameters", "/private%3bx/s"},
	{"path_parameters", "/public;x/s"},
	{"path_leading_slashes", "//public/private/s"},
	{"path_leading_slashes", "/%2fpublic/private/s"},
	{"path_trailing_dots", "/private./s"},
	{"path_trailing_dots", "/private%2e/s"},
	{"path_trailing_dots", "/private%20/s"},
	{"path_trailing_dots", "/public/Acme_Inc."},
	{"path_sessions", "/(S(x))/private/s"},
	{"path_sessions", "/%28S(x)%29/private/s"},
	{"", "/private%00/s"},
	{"", "/%c0%afprivate/s"},
	{"", "/%f8%80%80%80%afprivate/s"},
	{"", "/%fc%80%80%80%80%afprivate/s"},
}

// pathPlaces are sites by where their gates and filters stand.
var pathPlaces = []struct {
	name   string
	strict bool // paths decide, and so the spellings are refused
	site   string
}{
	{"whole site", false, `jwt_auth api
		reverse_proxy {{.Proxy}}`},
	{"whole site without gate", false, `jwt_auth off
		reverse_proxy {{.Proxy}}`},
	{"two gates for all", false, `jwt_auth api
		jwt_auth api {
			deny role guest
		}
		reverse_proxy {{.Proxy}}`},
	{"by method and header", false, `@writes {
			method POST PUT GET
			header X-Wanted *
		}
		jwt_auth @writes api
		jwt_auth api
		reverse_proxy {{.Proxy}}`},
	{"in a route for all", false, `route {
			jwt_auth api
			reverse_proxy {{.Proxy}}
		}`},
	{"in a handle for all", false, `handle {
			jwt_auth api
			reverse_proxy {{.Proxy}}
		}`},
	{"by path beside a whole site: headers, redirects and rewrites", false, `header /static/* Cache-Control max-age=60
		redir /old /new
		rewrite /older/* /new{uri}
		encode /static/* gzip
		jwt_auth api
		reverse_proxy {{.Proxy}}`},
	{"files beside a whole site", false, `jwt_auth api
		file_server /static/* {
			root "{{.Dir}}"
		}
		reverse_proxy {{.Proxy}}`},
	{"matcher", true, `jwt_auth /private* api
		reverse_proxy {{.Proxy}}`},
	{"named matcher", true, `@private not path /public/*
		jwt_auth @private api
		reverse_proxy {{.Proxy}}`},
	{"regular expression", true, `@private path_regexp ^/private
		jwt_auth @private api
		reverse_proxy {{.Proxy}}`},
	{"expression", true, `@private expression path('/private*')
		jwt_auth @private api
		reverse_proxy {{.Proxy}}`},
	{"header that is set by path", true, `route {
			request_header /public/* X-Pub 1
			@private not header X-Pub 1
			jwt_auth @private api
			reverse_proxy {{.Proxy}}
		}`},
	{"header that holds the path", true, `route {
			request_header X-Original-Uri {path}
			@private header_regexp X-Original-Uri ^/private
			jwt_auth @private api
			reverse_proxy {{.Proxy}}
		}`},
	{"query that is set by path", true, `route {
			rewrite /public/* {path}?pub=1
			@private not query pub=1
			jwt_auth @private api
			reverse_proxy {{.Proxy}}
		}`},
	{"method that is set by path", true, `route {
			method /public/* GET
			@private not method GET
			jwt_auth @private api
			reverse_proxy {{.Proxy}}
		}`},
	{"header that is set for all", false, `route {
			request_header X-Pub 1
			@private not header X-Pub 2
			jwt_auth @private api
			reverse_proxy {{.Proxy}}
		}`},
	{"files", true, `@file file {path}
		jwt_auth @file api
		reverse_proxy {{.Proxy}}`},
	{"stacked", true, `jwt_auth /private* api {
			require role admin
		}
		jwt_auth api
		reverse_proxy {{.Proxy}}`},
	{"handle", true, `handle /private* {
			jwt_auth api
			reverse_proxy {{.Proxy}}
		}
		handle {
			jwt_auth off
			reverse_proxy {{.Proxy}}
		}`},
	{"handle beside a public one", true, `handle /public/* {
			jwt_auth off
			reverse_proxy {{.Proxy}}
		}
		handle {
			jwt_auth api
			reverse_proxy {{.Proxy}}
		}`},
	{"handle beside a short answer", true, `handle /health {
			respond ok
		}
		handle {
			jwt_auth api
			reverse_proxy {{.Proxy}}
		}`},
	{"handle beside files", true, `handle /static/* {
			file_server {
				root "{{.Dir}}"
			}
		}
		handle {
			jwt_auth api
			reverse_proxy {{.Proxy}}
		}`},
	{"handle_path", true, `handle_path /app/* {
			jwt_auth api
			reverse_proxy {{.Proxy}}
		}
		jwt_auth off
		handle {
			reverse_proxy {{.Proxy}}
		}`},
	{"route", true, `route {
			jwt_auth off
			reverse_proxy /public/* {{.Proxy}}
			jwt_auth api
			reverse_proxy {{.Proxy}}
		}`},
	{"nested", true, `route {
			handle {
				@inner path /private*
				route @inner {
					route {
						jwt_auth api
					}
				}
				jwt_auth off
				reverse_proxy {{.Proxy}}
			}
		}`},
	{"another application by path", true, `jwt_auth api
		reverse_proxy /other/* {{.Proxy}}
		reverse_proxy {{.Proxy}}`},
	{"refused by path", true, `jwt_auth api
		respond /private* 403
		reverse_proxy {{.Proxy}}`},
	{"password by path", true, `jwt_auth off
		basic_auth /private* {
			bob {{hash "bob"}}
		}
		reverse_proxy {{.Proxy}}`},
	{"invoked by path", true, `invoke /private* guarded
		jwt_auth off
		reverse_proxy {{.Proxy}}`},
}

func placeSites(change func(string) string) string {
	sites := authSite + `
&(guarded) {
	jwt_auth api
	reverse_proxy {{.Proxy}}
}
`
	for _, p := range pathPlaces {
		sites += siteOf(p.name, change(p.site))
	}
	return sites
}

// TestPathSpellings: where paths decide, what an application may read as another path is refused,
// by gates and by filters; a gate that guards a whole site lets its application read what it likes.
func TestPathSpellings(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, placeSites(func(site string) string { return site }))
	alice := []string{
		"Authorization: Bearer " + g.tokens.mint("es1", "alice", map[string]any{"role": "admin"}), "X-Wanted: yes",
	}
	for _, place := range pathPlaces {
		t.Run(place.name, func(t *testing.T) {
			for _, s := range pathSpellings {
				got := sendHTTP1(t, g.addr(place.name), call{target: s.target, host: g.host(place.name), lines: alice})
				seen := g.proxy.take()
				switch {
				case !place.strict && (got.status != http.StatusOK || len(seen) != 1):
					t.Errorf("%s: status %d, the application saw %d requests", s.target, got.status, len(seen))
				case place.strict && (got.status < http.StatusBadRequest || len(seen) > 0):
					t.Errorf("%s: status %d, the application saw %d requests", s.target, got.status, len(seen))
				}
			}
			got := sendHTTP1(t, g.addr(place.name), call{target: "/public/x", host: g.host(place.name), lines: alice})
			if seen := g.proxy.take(); place.name != "handle_path" && (got.status != http.StatusOK || len(seen) != 1) {
				t.Errorf("an ordinary path: status %d, the application saw %d requests", got.status, len(seen))
			}
		})
	}
}

// TestPathSpellingsAreOpenedByName: each option lets its own spellings pass and no others, also at
// the filter beside a gate.
func TestPathSpellingsAreOpenedByName(t *testing.T) {
	g := newGateway(t)
	sites := authSite
	options := []string{"path_parameters", "path_leading_slashes", "path_trailing_dots", "path_sessions"}
	for _, option := range options {
		sites += `
{{url "gate ` + option + `"}} {
	jwt_auth /private* api {
		` + option + ` allow
	}
	reverse_proxy {{.Proxy}}
}
{{url "off ` + option + `"}} {
	handle /private* {
		jwt_auth off {
			` + option + ` allow
		}
		reverse_proxy {{.Proxy}}
	}
	handle {
		jwt_auth off {
			` + option + ` allow
		}
		reverse_proxy {{.Proxy}}
	}
}
`
	}
	g.load(standardAuth, sites)
	alice := []string{"Authorization: Bearer " + g.tokens.mint("es1", "alice", nil)}
	for _, option := range options {
		for _, kind := range []string{"gate ", "off "} {
			t.Run(kind+option, func(t *testing.T) {
				for _, s := range pathSpellings {
					got := sendHTTP1(t, g.addr(kind+option),
						call{target: s.target, host: g.host(kind + option), lines: alice})
					seen := len(g.proxy.take())
					if opened := s.option == option; opened != (got.status == http.StatusOK) || opened != (seen == 1) {
						t.Errorf("%s: status %d, the application saw %d requests", s.target, got.status, seen)
					}
				}
			})
		}
	}
	if !strings.Contains(g.log(), "path_parameters lets them pass") {
		t.Error("the log does not name the option that lets a path pass")
	}
}

// TestErrorPagesOfOddPaths: a page for errors stands behind a filter of its own, which is no
// stricter than the site and shows the page also to those whose path was refused.
func TestErrorPagesOfOddPaths(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+`
{{url "whole"}} {
	jwt_auth api
	reverse_proxy 127.0.0.1:{{port "nobody listens"}}
	handle_errors {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}
}
{{url "some"}} {
	jwt_auth api
	reverse_proxy 127.0.0.1:{{port "nobody listens"}}
	handle_errors 400 5xx {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}
}
{{url "page"}} {
	jwt_auth /private* api
	reverse_proxy {{.Proxy}}
	handle_errors {
		rewrite * /error
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}
}
{{url "strict"}} {
	jwt_auth /private* api
	reverse_proxy {{.Proxy}}
	handle_errors {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}
}
`)
	alice := []string{"Authorization: Bearer " + g.tokens.mint("es1", "alice", nil)}
	for _, c := range []struct{ site, target, arrives string }{
		{"whole", "/wiki/Acme_Inc.", "/wiki/Acme_Inc."},
		{"whole", "/wiki;x", "/wiki;x"},
		{"some", "/wiki/Acme_Inc.", "/wiki/Acme_Inc."},
		{"page", "/private;x/s", "/error"},
		{"page", "/x/../private", "/error"},
		{"strict", "/private;x/s", ""},
		{"strict", "/x/../private", ""},
	} {
		t.Run(c.site+c.target, func(t *testing.T) {
			got := sendHTTP1(t, g.addr(c.site), call{target: c.target, host: g.host(c.site), lines: alice})
			var arrived []string
			for _, s := range g.proxy.take() {
				arrived = append(arrived, s.target)
			}
			if strings.Join(arrived, " ") != c.arrives {
				t.Errorf("status %d, the application of the error route saw %q, want %q", got.status, arrived,
					c.arrives)
			}
		})
	}
}

// TestExplainAgreesOnPlaces: `explain` replaces what would answer, and yet says of paths what the
// server does.
func TestExplainAgreesOnPlaces(t *testing.T) {
	g := newGateway(t)
	sites := authSite + `
{{url "php"}} {
	root {{.Dir}}
	jwt_auth api
	php_fastcgi {{.PHP}}
}
{{url "prefix"}} {
	jwt_auth /private* api
	reverse_proxy {{.Proxy}}
}
{{url "rewritten"}} {
	rewrite * /front
	jwt_auth /private* api
	reverse_proxy {{.Proxy}}
}
{{url "later"}} {
	jwt_auth /private* api
	handle_path /v1/* {
		reverse_proxy {{.Proxy}}
	}
	reverse_proxy {{.Proxy}}
}
{{url "apart"}} {
	@private not path /public/*
	jwt_auth @private api
	handle_path /public/* {
		reverse_proxy {{.Proxy}}
	}
	reverse_proxy 127.0.0.1:1
}
`
	g.load(standardAuth, sites)
	config := g.configFile(standardAuth, sites)
	token := g.tokens.mint("es1", "alice", nil)
	for _, c := range []struct {
		site, target, token string
		status              int
	}{
		{"php", "/wiki/Acme_Inc.", token, http.StatusOK},
		{"php", "/wiki/Acme_Inc.", "", http.StatusUnauthorized},
		{"prefix", "/wiki/Acme_Inc.", token, http.StatusBadRequest},
		{"rewritten", "/private/s", "", http.StatusUnauthorized},
		{"rewritten", "/private/s", token, http.StatusOK},
		{"rewritten", "/public", "", http.StatusOK},
		{"later", "/v1/private/s", "", http.StatusUnauthorized},
		{"later", "/v1/private/s", token, http.StatusOK},
		{"later", "/v1/x", "", http.StatusOK},
		{"apart", "/public/x", "", http.StatusOK},
	} {
		t.Run(c.site+c.target+" "+http.StatusText(c.status), func(t *testing.T) {
			args := []string{"explain", "-c", config, "-u", g.url(c.site) + c.target}
			sent := call{target: c.target, host: g.host(c.site)}
			if c.token != "" {
				args, sent.lines = append(args, "-t", c.token), []string{"Authorization: Bearer " + c.token}
			}
			if got := sendHTTP1(t, g.addr(c.site), sent); got.status != c.status {
				t.Errorf("the server says %d", got.status)
			}
			out, _, err := command("", args...)
			want := "  " + strconv.Itoa(c.status) + " " + http.StatusText(c.status)
			if c.status == http.StatusOK {
				want = "whatever the application answers"
			}
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("want %q: %v\n%s", want, err, out)
			}
		})
	}
}
