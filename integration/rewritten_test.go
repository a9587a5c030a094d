package integration

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

const adminGate = `jwt_auth /admin* api {
		name "NAME"
		require role admin
		forward role X-User-Role
	}`

// rewrittenSites rewrite what clients ask for before the gate's matcher sees it. The guarded path
// is /admin.
var rewrittenSites = []struct {
	name   string
	mount  string // where the application begins
	warned string // what the load says runs before the gate; empty when it says nothing
	site   string
}{
	{"try_files", "", "`rewrite` or `try_files`", `try_files {path} /index.php
	` + adminGate + `
	php_fastcgi {{.PHP}} {
		root "{{.Dir}}"
	}`},
	{"rewrite", "", "`rewrite` or `try_files`", `rewrite * /front
	` + adminGate + `
	reverse_proxy {{.Proxy}}`},
	{"rewrite by path", "", "`rewrite` or `try_files`", `rewrite /admin/* /front
	` + adminGate + `
	reverse_proxy {{.Proxy}}`},
	{"uri", "", "`uri`", `uri replace /admin /front
	` + adminGate + `
	reverse_proxy {{.Proxy}}`},
	{"inverse", "", "`rewrite` or `try_files`", `rewrite * /public/front
	@private not path /public/*
	jwt_auth @private api {
		name "NAME"
		require role admin
		forward role X-User-Role
	}
	reverse_proxy {{.Proxy}}`},
	{"expression with a placeholder", "", "`rewrite` or `try_files`", `rewrite * /front
	@private expression {path}.startsWith('/admin')
	jwt_auth @private api {
		name "NAME"
		require role admin
		forward role X-User-Role
	}
	reverse_proxy {{.Proxy}}`},
	{"stacked", "", "`rewrite` or `try_files`", `rewrite * /front
	` + adminGate + `
	jwt_auth api {
		mode optional
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}}`},
	{"handles", "", "`rewrite` or `try_files`", `rewrite * /front
	handle /admin/login {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}
	handle /admin* {
		jwt_auth api {
			name "NAME"
		require role admin
			forward role X-User-Role
		}
		reverse_proxy {{.Proxy}}
	}
	handle {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}`},
	{"handle_path", "/app", "`rewrite` or `try_files`", `handle_path /app/* {
		try_files {path} /index.php
		` + adminGate + `
		php_fastcgi {{.PHP}} {
			root "{{.Dir}}"
		}
	}
	handle {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}`},
	{"stripped and rewritten", "/app", "`rewrite` or `try_files`", `route {
		uri strip_prefix /app
		try_files {path} /index.php
		` + adminGate + `
		php_fastcgi {{.PHP}} {
			root "{{.Dir}}"
		}
	}`},
	{"mounted", "/app", "", `handle_path /app/* {
		` + adminGate + `
		reverse_proxy {{.Proxy}}
	}
	handle {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}`},
	{"gate first", "", "", `route {
		` + adminGate + `
		rewrite * /front
		reverse_proxy {{.Proxy}}
	}`},
}

// TestRewrittenRequestsMeetTheGate: a gate guards what clients ask for, also when something has
// rewritten it before.
func TestRewrittenRequestsMeetTheGate(t *testing.T) {
	g := newGateway(t)
	sites := authSite
	for _, s := range rewrittenSites {
		sites += siteOf(s.name, "root {{.Dir}}\n\t"+strings.ReplaceAll(s.site, "NAME", s.name))
	}
	g.load(standardAuth, sites)
	for _, s := range rewrittenSites {
		for _, p := range protocols {
			t.Run(s.name+"/"+p.name, func(t *testing.T) { g.checkRewritten(t, p, s.name, s.mount) })
		}
		if warned := strings.Contains(g.warningOf(s.name), s.warned+
			" runs before the gate"); warned != (s.warned != "") {
			t.Errorf("%s: the load says %q", s.name, g.warningOf(s.name))
		}
	}
}

// laterSites rewrite requests behind the gate, whose matcher has seen another path. The guarded
// path is /admin.
var laterSites = []struct {
	name   string
	site   string
	guards []string // targets that lead to what is guarded
	open   []string // targets that do not
}{
	{"strip", `route {
		GATE
		uri strip_prefix /v1
		reverse_proxy {{.Proxy}}
	}`, []string{"/admin", "/v1/admin", "/V1/admin", "/v1%2fadmin", "/v1//admin/x", "/v1/%61dmin"},
		[]string{"/v1/x", "/v1/v1/admin", "/x"}},
	{"twice", `route {
		GATE
		uri strip_prefix /v1
		uri strip_prefix /v1
		reverse_proxy {{.Proxy}}
	}`, []string{"/v1/admin", "/v1/v1/admin"}, []string{"/v1/x"}},
	{"replace", `route {
		GATE
		uri replace /x/ /
		reverse_proxy {{.Proxy}}
	}`, []string{"/x/admin", "/x/admin/y"}, []string{"/x/y", "/x/x/admin"}},
	{"suffix", `route {
		@exact path /admin
		jwt_auth @exact api
		uri strip_suffix .html
		reverse_proxy {{.Proxy}}
	}`, []string{"/admin.html"}, []string{"/x.html"}},
	{"regular expression", `route {
		GATE
		uri path_regexp ^/v[0-9]+/ /
		reverse_proxy {{.Proxy}}
	}`, []string{"/v1/admin", "/v22/admin/x"}, []string{"/v1/x"}},
	{"query", `route {
		GATE
		rewrite /go/* /{query}
		reverse_proxy {{.Proxy}}
	}`, []string{"/go/x?admin/users"}, []string{"/go/x?public"}},
	{"fixed", `route {
		GATE
		rewrite /x /y
		rewrite /y /admin/z
		reverse_proxy {{.Proxy}}
	}`, []string{"/x", "/y"}, []string{"/z"}},
	{"conditional", `GATE
	route /v1/* {
		uri strip_prefix /v1
		reverse_proxy {{.Proxy}}
	}
	reverse_proxy {{.Proxy}}`, []string{"/v1/admin", "/V1/Admin"}, []string{"/v1/x", "/x"}},
	{"handle_path", `GATE
	handle_path /v1/* {
		reverse_proxy {{.Proxy}}
	}
	handle {
		reverse_proxy {{.Proxy}}
	}`, []string{"/admin", "/v1/admin", "/v1%2fadmin"}, []string{"/v1/x", "/v1/v1/admin", "/x"}},
	{"handle_path in a mount", `handle_path /app/* {
		GATE
		handle_path /v1/* {
			reverse_proxy {{.Proxy}}
		}
		reverse_proxy {{.Proxy}}
	}`, []string{"/app/admin", "/app/v1/admin"}, []string{"/app/v1/x", "/app/x"}},
	{"gate in a route", `route {
		jwt_auth off
		route /admin* {
			jwt_auth api
		}
		handle_path /v1/* {
			reverse_proxy {{.Proxy}}
		}
		reverse_proxy {{.Proxy}}
	}`, []string{"/admin", "/v1/admin"}, []string{"/v1/x"}},
	{"proxy that rewrites", `GATE
	reverse_proxy {{.Proxy}} {
		rewrite /{http.request.uri.path.1}/y
	}`, []string{"/x/admin"}, []string{"/x/z"}},
	{"inverse", `route {
		@private not path /public/*
		jwt_auth @private api
		uri strip_prefix /public/v1
		reverse_proxy {{.Proxy}}
	}`, []string{"/public/v1/x"}, []string{"/public/x", "/public/v1/public/x"}},
	{"other application", `@private not path /public/*
	jwt_auth @private api
	handle_path /public/* {
		reverse_proxy {{.Proxy}}
	}
	handle {
		reverse_proxy 127.0.0.1:1
	}`, []string{"/x"}, []string{"/public/x"}},
	{"other application below another path", `@private not path /public/*
	jwt_auth @private api
	handle_path /public/* {
		jwt_auth /admin* api
		route {
			uri strip_prefix /v1
			rewrite * /blog{uri}
			reverse_proxy {{.Proxy}}
		}
	}
	handle {
		reverse_proxy 127.0.0.1:1
	}`, []string{"/x", "/public/admin", "/public/v1/admin"}, []string{"/public/x", "/public/v1/x"}},
	{"all paths are no mount", `GATE
	handle /* {
		uri strip_prefix /v1
		reverse_proxy {{.Proxy}}
	}`, []string{"/admin", "/v1/admin"}, []string{"/v1/x"}},
	{"method", `route {
		@writes method POST
		jwt_auth @writes api
		method /w POST
		reverse_proxy {{.Proxy}}
	}`, []string{"/w"}, []string{"/x"}},
	{"query that is set", `route {
		@asks query x=1
		jwt_auth @asks api
		rewrite /w ?x=1
		reverse_proxy {{.Proxy}}
	}`, []string{"/w", "/y?x=1"}, []string{"/x"}},
	{"in an invoked route", `route {
		GATE
		invoke /v1/* stripped
		reverse_proxy {{.Proxy}}
	}`, []string{"/v1/admin"}, []string{"/v1/x"}},
	{"gate in an invoked route", `route {
		invoke /admin* gate
		jwt_auth off
		uri strip_prefix /v1
		reverse_proxy {{.Proxy}}
	}`, []string{"/admin", "/v1/admin"}, []string{"/v1/x"}},
	{"explicitly public", `handle_path /public/* {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}
	handle {
		jwt_auth api
		reverse_proxy {{.Proxy}}
	}`, []string{"/x"}, []string{"/public/x"}},
	{"public in a mount", `handle_path /app/* {
		handle /public/* {
			jwt_auth off
			reverse_proxy {{.Proxy}}
		}
		handle {
			jwt_auth api
			reverse_proxy {{.Proxy}}
		}
	}`, []string{"/app/x"}, []string{"/app/public/x"}},
	{"front controller", `@private not path /public/*
	jwt_auth @private api
	php_fastcgi {{.PHP}} {
		root "{{.Dir}}"
	}`, []string{"/x", "/index.php"}, []string{"/public/x"}},
	{"map", `map {path} {guard} {
		~^/admin yes
		default no
	}
	try_files {path} /index.php
	@g expression ` + "`{guard} == \"yes\"`" + `
	jwt_auth @g api
	php_fastcgi {{.PHP}} {
		root "{{.Dir}}"
	}`, []string{"/admin/x"}, []string{"/x"}},
	{"map and regular expression", `map {path} {guard} {
		~^/admin yes
		default no
	}
	rewrite * /front
	@g vars_regexp {guard} yes
	jwt_auth @g api
	reverse_proxy {{.Proxy}}`, []string{"/admin/x"}, []string{"/x"}},
	{"map and later", `route {
		map {path} {guard} {
			~^/admin yes
			default no
		}
		@g expression ` + "`{guard} == \"yes\"`" + `
		jwt_auth @g api
		uri strip_prefix /v1
		reverse_proxy {{.Proxy}}
	}`, []string{"/admin/x", "/v1/admin/x"}, []string{"/v1/x"}},
	{"map behind the gate", `jwt_auth off
	GATE
	handle /foo/* {
		map {path} {t} {
			~^/foo(/.*)$ ${1}
			default {path}
		}
		rewrite * {t}
		reverse_proxy {{.Proxy}}
	}
	handle {
		reverse_proxy {{.Proxy}}
	}`, []string{"/foo/admin"}, []string{"/x"}},
	{"variable behind the gate", `jwt_auth off
	GATE
	handle /old/* {
		vars area /{path.1}
		rewrite * {vars.area}
		reverse_proxy {{.Proxy}}
	}
	handle {
		reverse_proxy {{.Proxy}}
	}`, []string{"/old/admin"}, []string{"/x"}},
	{"header behind the gate", `route {
		jwt_auth off
		GATE
		request_header X-T /{path.1}
		reverse_proxy {{.Proxy}} {
			rewrite {header.X-T}
		}
	}`, []string{"/x/admin"}, nil},
	{"matcher of variables", `route {
		jwt_auth off
		GATE
		vars /foo/* go yes
		@go vars go yes
		uri @go strip_prefix /foo
		reverse_proxy {{.Proxy}}
	}`, []string{"/foo/admin"}, nil},
	{"matcher of variables by expression", `route {
		jwt_auth off
		GATE
		vars /foo/* go yes
		@go vars_regexp go ^y
		uri @go strip_prefix /foo
		reverse_proxy {{.Proxy}}
	}`, []string{"/foo/admin"}, nil},
	{"matcher of headers", `route {
		jwt_auth off
		GATE
		request_header /foo/* X-Go 1
		@go header X-Go 1
		uri @go strip_prefix /foo
		reverse_proxy {{.Proxy}}
	}`, []string{"/foo/admin"}, nil},
	{"captured before", `route {
		jwt_auth off
		GATE
		@p path_regexp ^/go(/.*)$
		vars @p t {re.1}
		rewrite /go/* {vars.t}
		reverse_proxy {{.Proxy}}
	}`, []string{"/go/admin"}, []string{"/x"}},
	{"captured beside", `route {
		jwt_auth off
		GATE
		@p path_regexp ^/go(/.*)$
		header @p X-A b
		rewrite /go/* {re.1}
		reverse_proxy {{.Proxy}}
	}`, []string{"/go/admin"}, []string{"/x"}},
	{"captured beside and compared", `route {
		jwt_auth off
		GATE
		@p path_regexp ^/foo(/.*)$
		header @p X-A b
		@admin expression ` + "`{re.1} == '/admin'`" + `
		uri @admin strip_prefix /foo
		reverse_proxy {{.Proxy}}
	}`, []string{"/foo/admin"}, nil},
	{"host that is set", `route {
		jwt_auth off
		GATE
		request_header /foo/* Host inner
		@inner host inner
		uri @inner strip_prefix /foo
		reverse_proxy {{.Proxy}}
	}`, []string{"/foo/admin"}, nil},
	{"many forms", `route {
		jwt_auth off
		GATE
		uri query +a 1
		uri query +b 1
		uri query +c 1
		uri query +d 1
		uri query +e 1
		uri strip_prefix /foo
		uri strip_prefix /bar
		reverse_proxy {{.Proxy}}
	}`, []string{"/foo/bar/admin"}, []string{"/foo/bar/x", "/x"}},
	{"more forms than are looked at", `route {
		jwt_auth off
		GATE
		@asks query secret=1
		jwt_auth @asks api
		uri query +a 1
		uri query +b 1
		uri query +c 1
		uri query +d 1
		uri query +e 1
		uri strip_prefix /foo
		uri strip_prefix /bar
		reverse_proxy {{.Proxy}}
	}`, []string{"/foo/bar/admin"}, nil},
	{"rewrite between a filter and a gate", `route {
		jwt_auth off
		uri strip_prefix /foo
		GATE
		uri strip_prefix /bar
		reverse_proxy {{.Proxy}}
	}`, []string{"/foo/bar/admin", "/bar/admin"}, []string{"/foo/bar/x"}},
	{"alternative that a rewrite between left", `route {
		jwt_auth off
		GATE
		handle /a/* {
			reverse_proxy {{.Proxy}}
		}
		uri strip_prefix /b
		handle {
			uri strip_prefix /a
			reverse_proxy {{.Proxy}}
		}
	}`, []string{"/b/a/admin"}, []string{"/b/a/x", "/a/x"}},
	{"alternative that a variable between left", `route {
		handle @v {
			respond 404
		}
		@v vars x y
		vars x y
		jwt_auth off
		GATE
		handle {
			uri strip_prefix /a
			reverse_proxy {{.Proxy}}
		}
	}`, []string{"/a/admin"}, []string{"/a/x"}},
	{"what the client first asked for", `route {
		jwt_auth off
		GATE
		uri strip_prefix /foo
		@x expression {http.request.orig_uri.path}.startsWith("/foo/")
		uri @x strip_prefix /bar
		reverse_proxy {{.Proxy}}
	}`, []string{"/foo/bar/admin"}, nil},
	{"file that is found beside", `route {
		jwt_auth off
		GATE
		@f file {query.f} /index.php
		header @f X-A b
		rewrite /go/* {http.matchers.file.relative}
		@p path /index.php
		rewrite @p /admin
		reverse_proxy {{.Proxy}}
	}`, []string{"/go/x"}, nil},
	{"file that is found and more", `route {
		jwt_auth off
		GATE
		try_files {path} /index.php
		rewrite /index.php /{query}
		reverse_proxy {{.Proxy}}
	}`, []string{"/x?admin/users"}, []string{"/x?y"}},
	{"file below a root that comes later", `route {
		@exact path /admin.html
		jwt_auth @exact api
		root {{.Dir}}
		try_files {path} {path}.html
		reverse_proxy {{.Proxy}}
	}`, []string{"/admin"}, []string{"/x"}},
	{"file below a root that comes later, and more", `route {
		jwt_auth off
		GATE
		root {{.Dir}}
		try_files {path} /index.php
		rewrite /index.php /{query}
		reverse_proxy {{.Proxy}}
	}`, []string{"/x?admin/users"}, []string{"/x?y"}},
	{"file of the query below a root that comes later", `route {
		jwt_auth off
		GATE
		root {{.Dir}}
		try_files {query.f} /index.php
		reverse_proxy {{.Proxy}}
	}`, []string{"/x?f=index.php"}, nil},
	{"root itself", `route {
		jwt_auth off
		GATE
		root * /admin
		rewrite /go/* {vars.root}
		reverse_proxy {{.Proxy}}
	}`, []string{"/go/x"}, []string{"/x"}},
	{"map of a root that comes later", `route {
		map {vars.root} {t} {
			~^(/admin)$ ${1}
			default /y
		}
		jwt_auth off
		GATE
		root * /admin
		rewrite /go/* {t}
		reverse_proxy {{.Proxy}}
	}`, []string{"/go/x"}, []string{"/x"}},
	{"errand to the guarded application by another name", `route {
		jwt_auth off
		GATE
		forward_auth {{.ProxyByName}} {
			uri /admin/verify
		}
		reverse_proxy {{.Proxy}}
	}`, []string{"/x", "/admin"}, nil},
	{"errand to a place that the request names", `route {
		jwt_auth off
		GATE
		forward_auth {{.Proxy}} {
			uri /{path.1}
		}
		reverse_proxy 127.0.0.1:1
	}`, []string{"/x/admin"}, nil},
	{"errand that another answer follows", `route {
		jwt_auth off
		GATE
		reverse_proxy {{.Proxy}} {
			rewrite /admin/verify
			handle_response {
				reverse_proxy {{.Proxy}}
			}
		}
	}`, []string{"/x"}, nil},
	{"map of a capture", `route {
		map {re.1} {t} {
			~^(.*)$ /${1}
		}
		jwt_auth off
		GATE
		@p path_regexp ^/go/(.*)$
		rewrite @p {t}
		reverse_proxy {{.Proxy}}
	}`, []string{"/go/admin"}, []string{"/x"}},
	{"method and path in one", `route {
		jwt_auth off
		jwt_auth /POST* api
		reverse_proxy {{.Proxy}} {
			method POST
			rewrite /{method}{uri}
		}
	}`, []string{"/x"}, nil},
	{"route that invokes itself", `route {
		GATE
		invoke again
	}`, []string{"/admin", "/v1/admin", "/v1/v1/admin"}, []string{"/x", "/v1/x", "/v1/v1/x"}},
	{"route that invokes itself twice", `route {
		GATE
		invoke /v1/* twice
		reverse_proxy {{.Proxy}}
	}`, []string{"/admin", "/v1/admin", "/v1/v2/v1/admin"}, []string{"/x"}},
	{"rewrite between a filter and a gate, which is in a route", `route {
		jwt_auth off
		uri strip_prefix /foo
		route /admin* {
			jwt_auth api
		}
		uri strip_prefix /bar
		reverse_proxy {{.Proxy}}
	}`, []string{"/foo/bar/admin", "/bar/admin"}, []string{"/foo/bar/x"}},
	{"variable by path behind a rewrite", `route {
		try_files {path} /index.php
		vars /admin* guarded yes
		@g vars guarded yes
		jwt_auth @g api
		reverse_proxy {{.Proxy}}
	}`, []string{"/admin/x"}, nil},
	{"header by path behind a rewrite", `route {
		rewrite * /front
		request_header /admin* X-G yes
		@g {
			header X-G yes
			not path /open/*
		}
		jwt_auth @g api
		reverse_proxy {{.Proxy}}
	}`, []string{"/admin/x"}, []string{"/open/x"}},
	{"errand whose answer gets another status", `route {
		jwt_auth off
		GATE
		reverse_proxy {{.Proxy}} {
			rewrite /admin/verify
			replace_status 200
		}
	}`, []string{"/x"}, nil},
	{"errand whose answer is mostly for the client", `route {
		jwt_auth off
		GATE
		reverse_proxy {{.Proxy}} {
			rewrite /admin/verify
			@failed status 5xx
			handle_response @failed {
				header X-Failed yes
			}
		}
	}`, []string{"/x"}, nil},
	{"errand whose answer with a header is for the proxy", `route {
		jwt_auth off
		GATE
		reverse_proxy {{.Proxy}} {
			rewrite /admin/verify
			@user {
				status 2xx
				header Remote-User *
			}
			handle_response @user {
				header X-User yes
			}
		}
	}`, []string{"/x"}, nil},
	{"errand to an application that answers after another", `route {
		jwt_auth off
		GATE
		forward_auth {{.Proxy}} {
			uri /admin/verify
		}
		reverse_proxy {{.Other}} {
			handle_response {
				reverse_proxy {{.Proxy}}
			}
		}
	}`, []string{"/x"}, nil},
	{"errand to an application that answers in place of another", `route {
		jwt_auth off
		GATE
		forward_auth {{.Proxy}} {
			uri /admin/verify
		}
		intercept {
			handle_response {
				reverse_proxy {{.Proxy}}
			}
		}
		respond 200
	}`, []string{"/x"}, nil},
	{"errand to one of several addresses", `route {
		jwt_auth off
		GATE
		forward_auth {{.Proxy}} {
			uri /admin/verify
		}
		reverse_proxy 127.0.0.1:1 {
			dynamic multi {
				a localhost {{.ProxyPort}}
			}
		}
	}`, []string{"/x"}, nil},
	{"errand to an application that a service record names", `route {
		jwt_auth off
		GATE
		forward_auth {{.Proxy}} {
			uri /admin/verify
		}
		reverse_proxy {
			dynamic srv _app._tcp.localhost
		}
	}`, []string{"/x"}, nil},
	{"errand by dynamic addresses", `route {
		jwt_auth off
		GATE
		forward_auth 127.0.0.1:1 {
			uri /admin/verify
			dynamic multi {
				a localhost {{.ProxyPort}}
			}
		}
		reverse_proxy {{.Proxy}}
	}`, []string{"/x"}, nil},
	{"errand to an application that answers errors", `route {
		jwt_auth off
		GATE
		forward_auth {{.Proxy}} {
			uri /admin/verify
		}
		error 404
	}
	handle_errors 404 {
		reverse_proxy {{.Proxy}}
	}`, []string{"/x"}, nil},
	{"rewrite in what follows an answer", `route {
		jwt_auth off
		GATE
		reverse_proxy {{.Other}} {
			handle_response {
				uri strip_prefix /v1
				reverse_proxy {{.Proxy}}
			}
		}
	}`, []string{"/v1/admin"}, []string{"/v1/x"}},
	{"rewrite in an intercepted answer", `route {
		jwt_auth off
		GATE
		intercept {
			handle_response {
				uri strip_prefix /v1
				reverse_proxy {{.Proxy}}
			}
		}
		respond 200
	}`, []string{"/v1/admin"}, []string{"/v1/x"}},
	{"errand with a prefix", `route {
		jwt_auth off
		GATE
		@v header X-V 1
		forward_auth @v {{.Proxy}} {
			uri /v1/verify
		}
		uri strip_prefix /v1
		reverse_proxy {{.Proxy}}
	}`, []string{"/v1/admin"}, []string{"/v1/x"}},
	{"errand in a handle", `route {
		jwt_auth off
		GATE
		handle /x {
			forward_auth {{.ProxyByName}} {
				uri /admin/verify
			}
			respond 200
		}
		handle {
			route {
				invoke direct
			}
		}
	}`, []string{"/x"}, []string{"/y"}},
	{"headers of an errand lead on", `route {
		jwt_auth off
		GATE
		forward_auth {{.Other}} {
			uri /api/verify
			copy_headers X-Area
		}
		@a header X-Area *
		rewrite @a /{header.X-Area}
		reverse_proxy {{.Proxy}}
	}`, []string{"/x"}, nil},
	{"root that the client names", `route {
		jwt_auth off
		GATE
		root {header.X-Root}
		try_files {path}/x {path}.html /admin/index.php =404
		reverse_proxy {{.Proxy}}
	}`, []string{"/x"}, nil},
	{"root that the client names with a path", `route {
		jwt_auth off
		GATE
		root {{.Dir}}
		try_files /{path}in /admi{path} {path}min /index.php
		reverse_proxy {{.Proxy}}
	}`, []string{"/adm", "/ad", "/n"}, nil},
	{"errand to an application of an answer to an answer", `route {
		jwt_auth off
		GATE
		forward_auth {{.Proxy}} {
			uri /admin/verify
		}
		reverse_proxy {{.Other}} {
			handle_response {
				intercept {
					handle_response {
						invoke direct
					}
				}
				respond 200
			}
		}
	}`, []string{"/x"}, nil},
	{"rewrite in an answer that leads on", `route {
		jwt_auth off
		GATE
		reverse_proxy {{.Other}} {
			handle_response {
				rewrite * /admin/x
			}
		}
		reverse_proxy {{.Proxy}}
	}`, []string{"/x"}, nil},
	{"rewrite in an answer to an application", `route {
		jwt_auth off
		GATE
		reverse_proxy {{.Other}} {
			handle_response {
				rewrite * /admin/x
				reverse_proxy {{.Proxy}}
			}
		}
	}`, []string{"/x"}, nil},
	{"gate in an answer", `route {
		jwt_auth off
		reverse_proxy {{.Other}} {
			handle_response {
				jwt_auth /admin* api
				uri strip_prefix /v1
				reverse_proxy {{.Proxy}}
			}
		}
	}`, []string{"/admin", "/v1/admin"}, []string{"/x"}},
	{"gate in an answer behind a rewrite", `route {
		jwt_auth off
		reverse_proxy {{.Other}} {
			handle_response {
				rewrite * /front
				jwt_auth /admin* api
				reverse_proxy {{.Proxy}}
			}
		}
	}`, []string{"/admin"}, []string{"/x"}},
	{"ordinary site", `route {
		jwt_auth off
		GATE
		request_header X-Site main
		vars area shop
		@mobile path_regexp ^/m/(.*)$
		rewrite @mobile /mobile/{re.1}
		uri strip_prefix /v1
		rewrite /old/* /new{uri}
		reverse_proxy {{.Proxy}}
	}`, []string{"/v1/admin"}, []string{"/v1/x", "/old/x?a=1", "/x"}},
}

// TestLaterRewritesMeetTheGate: a gate guards what the application gets, also when something
// rewrites the request behind the gate.
func TestLaterRewritesMeetTheGate(t *testing.T) {
	g := newGateway(t)
	g.extra["ProxyByName"] = strings.Replace(g.proxy.addr(), "127.0.0.1", "localhost", 1)
	_, g.extra["ProxyPort"], _ = strings.Cut(g.proxy.addr(), ":")
	g.extra["Other"] = newRecorder(t).addr()
	sites := authSite + `
&(stripped) {
	uri strip_prefix /v1
	reverse_proxy {{.Proxy}}
}
&(gate) {
	jwt_auth api
}
&(direct) {
	reverse_proxy {{.Proxy}}
}
&(twice) {
	uri strip_prefix /v1
	uri strip_prefix /v2
	invoke /v1/* twice
	invoke /v2/* twice
	reverse_proxy {{.Proxy}}
}
&(again) {
	uri strip_prefix /v1
	invoke /v1/* again
	reverse_proxy {{.Proxy}}
}
`
	for _, s := range laterSites {
		sites += siteOf(s.name, "root {{.Dir}}\n\t"+strings.ReplaceAll(s.site, "GATE", "jwt_auth /admin* api"))
	}
	g.load(standardAuth, sites)
	for _, s := range laterSites {
		t.Run(s.name, func(t *testing.T) {
			for _, target := range s.guards {
				got := sendHTTP1(t, g.addr(s.name), call{target: target, host: g.host(s.name)})
				if seen := append(g.proxy.take(), g.php.take()...); got.status != http.StatusUnauthorized ||
					len(seen) > 0 {
					t.Errorf("%s: status %d, the application saw %q", target, got.status, seen)
				}
			}
			for _, target := range s.open {
				got := sendHTTP1(t, g.addr(s.name), call{target: target, host: g.host(s.name)})
				if seen := append(g.proxy.take(), g.php.take()...); got.status != http.StatusOK || len(seen) != 1 {
					t.Errorf("%s: status %d, the application saw %d requests", target, got.status, len(seen))
				}
			}
		})
	}
}

// TestLaterRewritesGoByWhatGatesLeave: a gate or filter removes and sets headers and parameters,
// and a rewrite behind it sees only what is left.
func TestLaterRewritesGoByWhatGatesLeave(t *testing.T) {
	const user = `jwt_auth api {
			mode optional
			forward role X-User-Role
			from bearer
			from insecure_query t
		}
		route /admin* {
			jwt_auth api {
				require role admin
			}
		}
		`
	g := newGateway(t)
	bob := "Authorization: Bearer " + g.tokens.mint("es1", "bob", map[string]any{"role": "viewer"})
	cases := []struct {
		name, rewrites string
		guarded        call
		status         int
		open           call
	}{
		{"forged header", "jwt_auth /admin* api\n@m not header X-User-Role *\nuri @m strip_prefix /v1",
			call{target: "/v1/admin", lines: []string{"X-User-Role: x"}}, 401,
			call{target: "/v1/x", lines: []string{"X-User-Role: x"}}},
		{
			"forged header in another spelling",
			"jwt_auth /admin* api\n@m not header X_user_role *\nuri @m strip_prefix /v1",
			call{target: "/v1/admin", lines: []string{"X_user_role: x"}}, 401, call{target: "/v1/x"},
		},
		{"upgrade", "jwt_auth /admin* api\n@m not header Upgrade *\nuri @m strip_prefix /v1",
			call{target: "/v1/admin", lines: []string{"Connection: Upgrade", "Upgrade: h2c"}}, 401,
			call{target: "/v1/x"}},
		{"cookie", "jwt_auth /admin* api\n@m not header Cookie *refresh_token*\nuri @m strip_prefix /v1",
			call{target: "/v1/admin", lines: []string{"Cookie: refresh_token=x"}}, 401,
			call{target: "/v1/x", lines: []string{"Cookie: a=b"}}},
		{"query", "jwt_auth /admin* api\nrewrite /go /{query}",
			call{target: "/go?t=x&admin"}, 401, call{target: "/go?t=x&y"}},
		{"query by expression", "jwt_auth /admin* api\n@m expression `{query.t} == ''`\nuri @m strip_prefix /v1",
			call{target: "/v1/admin?t=x"}, 401, call{target: "/v1/x?t=x"}},
		{"Authorization", user + "@m not header Authorization *\nuri @m strip_prefix /v1",
			call{target: "/v1/admin", lines: []string{bob}}, 403, call{target: "/v1/x", lines: []string{bob}}},
		{"forwarded header", user + "@m header X-User-Role viewer\nuri @m strip_prefix /v1",
			call{target: "/v1/admin", lines: []string{bob}}, 403, call{}},
		{"forwarded header in the rewrite", user + "rewrite /go /admin/{header.x-user-role}",
			call{target: "/go", lines: []string{bob}}, 403, call{target: "/x", lines: []string{bob}}},
		{"user", user + "@m vars {http.auth.user.role} viewer\nuri @m strip_prefix /v1",
			call{target: "/v1/admin", lines: []string{bob}}, 403, call{}},
		{"user by expression", user + "@m expression `{http.auth.user.role} == 'viewer'`\nuri @m strip_prefix /v1",
			call{target: "/v1/admin", lines: []string{bob}}, 403, call{}},
		{"body", "jwt_auth /admin* api\n@m not expression `{http.request.body}.contains('x')`\nuri @m strip_prefix /v1",
			call{target: "/v1/admin"}, 401, call{method: "POST", target: "/v1/admin", body: "xyz"}},
	}
	sites := authSite + `{{url "credentials"}} {
	jwt_auth api {
		from insecure_query t
	}
}
`
	for _, c := range cases {
		sites += siteOf(c.name, "route {\n"+c.rewrites+"\nreverse_proxy {{.Proxy}}\n}")
	}
	g.load(standardAuth, sites)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range protocols {
				if c.name == "upgrade" && p.name == "h2" {
					continue // HTTP/2 knows none
				}
				c.guarded.host, c.open.host = g.host(c.name), g.host(c.name)
				got := p.send(t, g.addr(c.name), c.guarded)
				if seen := g.proxy.take(); got.status != c.status || len(seen) > 0 {
					t.Errorf("%s: status %d, the application saw %q", p.name, got.status, seen)
				}
				if c.open.target == "" {
					continue
				}
				got = p.send(t, g.addr(c.name), c.open)
				seen := g.proxy.take()
				if got.status != http.StatusOK || len(seen) != 1 || seen[0].body != c.open.body {
					t.Errorf("%s: %s: status %d, the application saw %q", p.name, c.open.target, got.status, seen)
				}
			}
		})
	}
}

// TestCheckNamesLaterRewrites: a rewrite behind a gate is an error where nothing stands before it
// that could ask the gate.
func TestCheckNamesLaterRewrites(t *testing.T) {
	for _, c := range []struct{ name, before, want string }{
		{"a filter before it", "jwt_auth off", "note: "},
		{"nothing before it", "", "error: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := checkOf(t, `route {
		`+c.before+`
		route /admin* {
			jwt_auth api
		}
		route /v1/* {
			uri strip_prefix /v1
			reverse_proxy {{.Proxy}}
		}
		reverse_proxy {{.Proxy}}
	}`)
			if (err != nil) != (c.want == "error: ") ||
				!regexp.MustCompile("(?m)^"+c.want+".*`uri` runs behind the gate").MatchString(out) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestCheckNamesUnknownRewrites: check says where what is set behind the gate decides where a
// rewrite leads.
func TestCheckNamesUnknownRewrites(t *testing.T) {
	for _, c := range []struct{ name, target, want string }{
		{"a variable", "{vars.area}", "warning: "},
		{"the path", "/shop{path}", "note: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := checkOf(t, `route {
		jwt_auth off
		jwt_auth /admin* api
		vars area /{path.1}
		rewrite /old/* `+c.target+`
		reverse_proxy {{.Proxy}}
	}`)
			if err != nil ||
				!regexp.MustCompile("(?m)^"+c.want+".*`rewrite` or `try_files` runs behind the gate").MatchString(out) {
				t.Errorf("%v\n%s", err, out)
			}
			if strings.Contains(out, "so every gate of the site is asked") != (c.want == "warning: ") {
				t.Errorf("%s", out)
			}
		})
	}
}

// checkOf is what `caddy auth check` says of a site with these routes.
func checkOf(t *testing.T, routes string) (out string, err error) {
	t.Helper()
	config := newGateway(t).configFile(standardAuth, authSite+siteOf("app", routes))
	out, _, err = command("", "check", "--config", config)
	return out, err
}

// warningOf is the warning of the load about rewrites before the gate of a site, which has the
// site's name.
func (g *gateway) warningOf(site string) string {
	for line := range strings.Lines(g.log()) {
		if strings.Contains(line, "runs before the gate") && strings.Contains(line, `"level":"warn"`) &&
			strings.Contains(line, "gate "+site+" (") {
			return line
		}
	}
	return ""
}

func (g *gateway) checkRewritten(t *testing.T, p protocol, site, mount string) {
	bob := g.tokens.mint("es1", "bob", map[string]any{"role": "viewer"})
	alice := g.tokens.mint("es1", "alice", map[string]any{"role": "admin"})
	for _, c := range []struct {
		name, target, token string
		status              int
		role                string
	}{
		{"anonymous", "/admin/users", "", http.StatusUnauthorized, ""},
		{"anonymous in upper case", "/ADMIN/users", "", http.StatusUnauthorized, ""},
		{"bob", "/admin/users", bob, http.StatusForbidden, ""},
		{"alice", "/admin/users", alice, http.StatusOK, "admin"},
		{"anonymous in public", "/public/x", "", http.StatusOK, ""},
	} {
		if strings.Contains("uri, expression with a placeholder", site) && c.name == "anonymous in upper case" {
			continue // these know case
		}
		got := p.send(t, g.addr(site), call{
			target: mount + c.target, host: g.host(site),
			lines: []string{"X-User-Role: admin", "Authorization: Bearer " + c.token}[:1+min(1, len(c.token))],
		})
		seen := append(g.proxy.take(), g.php.take()...)
		if got.status != c.status || len(seen) != map[bool]int{true: 1}[c.status == http.StatusOK] {
			t.Errorf("%s: status %d, want %d; the application saw %q", c.name, got.status, c.status, seen)
			continue
		}
		if len(seen) == 1 &&
			(strings.Join(seen[0].values("x-user-role"), ",") != c.role || len(seen[0].values("authorization")) > 0) {
			t.Errorf("%s: the application saw %q", c.name, seen[0].headers)
		}
	}
}

// TestRewrittenRequestsAreJudgedAsSent: php_fastcgi tells the application what the client asked
// for.
func TestRewrittenRequestsAreJudgedAsSent(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+`
{{url "gate"}} {
	root {{.Dir}}
	uri strip_prefix /app
	jwt_auth /admin* api
	php_fastcgi {{.PHP}}
}
{{url "whole"}} {
	root {{.Dir}}
	uri strip_prefix /app
	jwt_auth off
	php_fastcgi {{.PHP}}
}
`)
	for _, c := range []struct {
		target string
		both   bool // refused also where no path decides
	}{
		{"/app/public/../admin", true},
		{"/app/public/%2e%2e/admin", true},
		{"/app/./public", true},
		{"//app/public", false},
		{"/app;x/public", false},
	} {
		t.Run(c.target, func(t *testing.T) {
			g.refusesTarget(t, sendHTTP1, "gate", call{target: c.target, host: g.host("gate")})
			if c.both {
				g.refusesTarget(t, sendHTTP1, "whole", call{target: c.target, host: g.host("whole")})
				return
			}
			got := sendHTTP1(t, g.addr("whole"), call{target: c.target, host: g.host("whole")})
			if seen := g.php.take(); got.status != http.StatusOK || len(seen) != 1 {
				t.Errorf("status %d, the application saw %d requests", got.status, len(seen))
			}
		})
	}
}
