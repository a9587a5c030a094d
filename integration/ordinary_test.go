package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// ordinarySites are configurations as people write them, with a gate somewhere.
var ordinarySites = []struct {
	name    string
	site    string
	open    []string // 200 without a token
	guarded []string // 401 without a token, 200 with one
	other   []answered
}{
	{"single page", `jwt_auth /api* api
	root {{.Dir}}
	handle /api* {
		reverse_proxy {{.Proxy}}
	}
	handle {
		try_files {path} /index.html
		file_server
	}`, []string{"/", "/some/view", "/app.js"}, []string{"/api", "/api/users"}, nil},
	{"everything in a route", `encode gzip
	route {
		jwt_auth /admin* api
		root {{.Dir}}
		try_files {path} /index.html
		rewrite /old/* /public{uri}
		file_server
	}`, []string{"/", "/some/view", "/app.js", "/old/x"}, []string{"/admin", "/admin/users"}, nil},
	{"clean addresses in a route", `route {
		jwt_auth /docs* api
		root * {{.Dir}}
		try_files {path} {path}.html {path}/index.html =404
		file_server
	}`, []string{"/", "/about"}, []string{"/docs", "/docs/guide", "/docs.html"}, []answered{{"/none", 404}}},
	{"root by path", `route {
		jwt_auth /admin* api
		root {{.Dir}}
		root /shop/* {{.Dir}}/shop
		try_files {path} /index.html
		rewrite /old/* /public{uri}
		file_server
	}`, []string{"/", "/shop/x", "/some/view"}, []string{"/admin", "/admin/users"}, nil},
	{"PHP", `root {{.Dir}}
	jwt_auth /admin* api
	php_fastcgi {{.PHP}}
	file_server`, []string{"/", "/index.php", "/some/view"}, []string{"/admin", "/admin/users"}, nil},
	{"PHP in a route", `route {
		jwt_auth /admin* api
		root {{.Dir}}
		php_fastcgi {{.PHP}}
		file_server
	}`, []string{"/", "/index.php", "/some/view"}, []string{"/admin", "/admin/users"}, nil},
	{"WordPress", `route {
		jwt_auth /wp-admin* api
		root {{.Dir}}
		encode gzip
		@hidden path /.git/* /xmlrpc.php
		respond @hidden 404
		rewrite /sitemap.xml /index.php?sitemap=index
		php_fastcgi {{.PHP}}
		file_server
	}`, []string{"/", "/2026/11/post/", "/sitemap.xml"}, []string{"/wp-admin/", "/wp-admin/edit.php"},
		[]answered{{"/xmlrpc.php", 404}}},
	{"Laravel", `root {{.Dir}}
	encode gzip
	jwt_auth /horizon* api
	php_fastcgi {{.PHP}} {
		try_files {path} {path}/index.php index.php
	}
	file_server`, []string{"/", "/login"}, []string{"/horizon", "/horizon/api/stats"}, nil},
	{"several applications", `jwt_auth /shop/admin* api
	handle_path /shop/* {
		reverse_proxy {{.Proxy}}
	}
	handle_path /news/* {
		reverse_proxy {{.Other}}
	}
	handle {
		root {{.Dir}}
		file_server
	}`, []string{"/", "/shop/x", "/news/x", "/news/admin"}, []string{"/shop/admin", "/shop/admin/x"}, nil},
	{"forward_auth", `jwt_auth /api* api
	forward_auth /wiki* {{.Other}} {
		uri /api/verify
		copy_headers Remote-User
	}
	reverse_proxy {{.Proxy}}`, []string{"/", "/wiki", "/wiki/x"}, []string{"/api", "/api/users"}, nil},
	{"forward_auth for everything", `jwt_auth /api* api
	forward_auth {{.Other}} {
		uri /api/verify?rd={scheme}://{host}{uri}
		copy_headers Remote-User
	}
	reverse_proxy {{.Proxy}}`, []string{"/", "/x"}, []string{"/api", "/api/users"}, nil},
	{"forward_auth twice", `jwt_auth /api* api
	forward_auth /wiki* {{.Other}} {
		uri /api/verify
	}
	forward_auth /files* {{.Other}} {
		uri /api/verify?files
	}
	reverse_proxy {{.Proxy}}`, []string{"/", "/wiki", "/files/x"}, []string{"/api", "/api/users"}, nil},
	{"forward_auth of the guarded application", `jwt_auth /api* api
	forward_auth /wiki* {{.Proxy}} {
		uri /api/verify
	}
	reverse_proxy {{.Proxy}}`, []string{"/"}, []string{"/api", "/wiki"}, nil},
	{"canonical host", `@www host www.localhost
	redir @www http://localhost{uri}
	redir /old /new permanent
	jwt_auth /admin* api
	reverse_proxy {{.Proxy}}`, []string{"/", "/new"}, []string{"/admin"}, []answered{{"/old", 301}}},
	{"strip_prefix", `jwt_auth /admin* api
	handle /v1/* {
		uri strip_prefix /v1
		reverse_proxy {{.Proxy}}
	}
	handle {
		reverse_proxy {{.Proxy}}
	}`, []string{"/", "/v1/x"}, []string{"/admin", "/v1/admin"}, nil},
	{"one page for all", `route {
		jwt_auth /admin* api
		root {{.Dir}}
		rewrite * /index.html
		file_server
	}`, []string{"/", "/x"}, []string{"/admin", "/admin/x"}, nil},
	{"static files and an application", `root {{.Dir}}
	@static path *.js *.css
	handle @static {
		file_server
	}
	handle {
		jwt_auth api
		reverse_proxy {{.Proxy}}
	}`, []string{"/app.js"}, []string{"/", "/api"}, nil},
	{"error pages", `root {{.Dir}}
	route {
		jwt_auth /admin* api
		try_files {path} {path}/index.html =404
		file_server
	}
	handle_errors {
		rewrite * /{err.status_code}.html
		file_server
	}`, []string{"/", "/app.js"}, []string{"/admin/"}, []answered{{"/none", 404}}},
	{"map and variables", `map {path} {backend} {
		~^/news {{.Other}}
		default {{.Proxy}}
	}
	vars tier public
	jwt_auth /admin* api
	header X-Tier {vars.tier}
	reverse_proxy {backend}`, []string{"/", "/news/x"}, []string{"/admin"}, nil},
	{"methods", `@writes method POST PUT DELETE
	jwt_auth @writes api
	jwt_auth /admin* api
	reverse_proxy {{.Proxy}}`, []string{"/", "/x"}, []string{"/admin"}, nil},
	{"copied response", `jwt_auth /admin* api
	reverse_proxy {{.Proxy}} {
		@error status 5xx
		handle_response @error {
			respond "out of order" 503
		}
		handle_response {
			header X-Copied yes
			copy_response
		}
	}`, []string{"/", "/x"}, []string{"/admin"}, nil},
	{"pages of errors and files that the application names", `@private not path /public/* /app.js
	jwt_auth @private api
	root {{.Dir}}
	reverse_proxy {{.Proxy}} {
		@accel header X-Accel-Redirect *
		handle_response @accel {
			rewrite * {rp.header.X-Accel-Redirect}
			file_server
		}
		@failed status 5xx
		handle_response @failed {
			rewrite * /{rp.status_code}.html
			file_server
		}
	}`, []string{"/public/x", "/app.js"}, []string{"/", "/x"}, nil},
	{"forward_auth and pages of errors", `jwt_auth /api* api
	forward_auth {{.Other}} {
		uri /api/verify
		copy_headers Remote-User
	}
	reverse_proxy {{.Proxy}} {
		@failed status 5xx
		handle_response @failed {
			root {{.Dir}}
			rewrite * /404.html
			file_server
		}
	}
	handle_errors {
		root {{.Dir}}
		rewrite * /{err.status_code}.html
		file_server
	}`, []string{"/", "/x"}, []string{"/api"}, nil},
}

// answered is a target with the status that it gets without a token.
type answered struct {
	target string
	status int
}

// TestOrdinarySites: what is public stays public, and what is guarded needs a token and opens with
// one.
func TestOrdinarySites(t *testing.T) {
	g := newGateway(t)
	g.extra["Other"] = newRecorder(t).addr()
	for _, name := range []string{
		"index.html", "app.js", "about.html", "404.html", "401.html", "docs/guide.html", "docs/index.html", "docs.html",
		"public/old/x", "shop/index.html", "admin/index.html", "wp-admin/edit.php", "wp-admin/index.php",
	} {
		file := filepath.Join(g.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sites := authSite
	for _, s := range ordinarySites {
		sites += "{{url \"" + s.name + "\"}} {\n\t" + s.site + "\n}\n"
	}
	g.load(standardAuth, sites)
	token := "Authorization: Bearer " + g.tokens.mint("es1", "alice", map[string]any{"role": "admin"})
	for _, s := range ordinarySites {
		t.Run(s.name, func(t *testing.T) {
			ask := func(target string, want int, lines ...string) {
				t.Helper()
				got := sendHTTP1(t, g.addr(s.name), call{target: target, host: g.host(s.name), lines: lines})
				if got.status != want {
					t.Errorf("%s with %d header lines: status %d, want %d", target, len(lines), got.status, want)
				}
			}
			for _, target := range s.open {
				ask(target, http.StatusOK)
			}
			for _, target := range s.guarded {
				ask(target, http.StatusUnauthorized)
				ask(target, http.StatusOK, token)
			}
			for _, o := range s.other {
				ask(o.target, o.status)
			}
		})
	}
}
