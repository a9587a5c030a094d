package integration

import (
	"regexp"
	"strings"
	"testing"
)

// signInSetup is a way to put the login page and a gate together.
type signInSetup struct {
	name    string
	auth    string // the lines of the option `auth` without the people
	globals string // other global options
	sites   string
	page    string // what a person opens, a template
	check   string // what `check` says of it as an error; "" when there is nothing to say
	warns   string // what it says as a warning
	sees    string // what the person reads in the end; "" when nobody is sent round here
}

// onePerson is the user of every setup.
const onePerson = `
	user alice {
		password_hash {{hash "alice"}}
	}`

const (
	authAtAuth = "issuer {{url \"auth\"}}\n\treturn_to {{url \"app\"}}"
	webSite    = authSite + "{{url \"app\"}} {\n\tlog\n\tjwt_auth web {\n\t\tGATE\n\t}\n\treverse_proxy {{.Proxy}}\n}\n"
	appHost    = `http://app.localhost:{{port "app"}}`

	addressHost = `http://[::1]:{{port "app"}}`
)

// webSiteWith is a login site and a gate with one more line, each on a port of its own.
func webSiteWith(line string) string { return strings.Replace(webSite, "GATE", line, 1) }

// brokenSignIns cannot work.
func brokenSignIns() []signInSetup {
	return []signInSetup{
		{name: "no auth_server", auth: `issuer {{url "app"}}/auth`, page: `{{url "app"}}/page`,
			sites: "{{url \"app\"}} {\n\tlog\n\tjwt_auth web\n\treverse_proxy {{.Proxy}}\n}\n",
			check: "no site has `auth_server`", sees: "Signing in is not possible"},
		{name: "handle_path", auth: `issuer {{url "app"}}/auth`, page: `{{url "app"}}/page`,
			sites: "{{url \"app\"}} {\n\tlog\n\thandle_path /auth/* {\n\t\tauth_server\n\t}\n\thandle {\n" +
				"\t\tjwt_auth web\n\t\treverse_proxy {{.Proxy}}\n\t}\n}\n",
			check: "write `handle /auth/*`, not `handle_path`", sees: "Signing in is not possible"},
		{name: "another host, where no gate meets who comes back", auth: `issuer {{url "auth"}}`,
			sites: authSite + appHost + " {\n\tlog\n\thandle /page* {\n\t\tjwt_auth web\n\t\treverse_proxy " +
				"{{.Proxy}}\n\t}\n\thandle {\n\t\tabort\n\t}\n}\n",
			check: "/.auth/callback, and no gate of host app.localhost is asked there"},
		{name: "another host of another scheme", auth: `issuer {{url "auth"}}`,
			sites: authSite + `https://app.localhost:{{port "app"}}` +
				" {\n\ttls internal\n\tjwt_auth web\n\treverse_proxy {{.Proxy}}\n}\n",
			check: "host app.localhost cannot keep the session cookie, which is made for http"},
		{
			name: "another host, where no cookie is read",
			auth: `issuer {{url "auth"}}`,
			page: appHost + "/page",
			sites: authSite + appHost + " {\n\tlog\n\tjwt_auth web {\n\t\tfrom header X-Token\n\t}\n" +
				"\treverse_proxy {{.Proxy}}\n}\n",
			check: "does not read the session cookie",
			sees:  "Signing in does not help",
		},
		{name: "another port", auth: `issuer http://localhost:{{port "nobody"}}`, sites: webSiteWith("name app"),
			check: "no site with `auth_server` answers"},
		{
			name:  "another port with TLS",
			auth:  `issuer https://app.example.com:{{port "nobody"}}`,
			check: "no site with `auth_server` answers",
			sites: "https://app.example.com:{{port \"app\"}} {\n\tauth_server\n\tjwt_auth web\n\treverse_proxy " +
				"{{.Proxy}}\n}\n",
		},
		{
			name:  "a path that is rewritten",
			auth:  `issuer {{url "app"}}/auth`,
			check: "no site with `auth_server` answers",
			sites: "{{url \"app\"}} {\n\trewrite /auth/* /gone\n\thandle /auth/* {\n\t\tauth_server\n\t}\n\thandle " +
				"{\n\t\tjwt_auth web\n\t\treverse_proxy {{.Proxy}}\n\t}\n}\n",
		},
		{
			name:  "another host of the issuer",
			auth:  `issuer http://auth.localhost:{{port "auth"}}`,
			sites: webSiteWith("name app"),
			check: "no site with `auth_server` answers",
		},
		{name: "another scheme", auth: `issuer https://localhost:{{port "auth"}}`, sites: webSiteWith("name app"),
			check: "no site with `auth_server` answers"},
		{name: "a path that the site does not have", auth: `issuer {{url "app"}}/login`, page: `{{url "app"}}/page`,
			sites: "{{url \"app\"}} {\n\tlog\n\thandle /auth/* {\n\t\tauth_server\n\t}\n\thandle {\n\t\tjwt_auth " +
				"web\n\t\treverse_proxy {{.Proxy}}\n\t}\n}\n",
			check: "no site with `auth_server` answers", sees: "Signing in is not possible"},
		{name: "behind the gate", auth: `issuer {{url "app"}}/auth`, page: `{{url "app"}}/page`,
			sites: "{{url \"app\"}} {\n\tlog\n\thandle /auth/* {\n\t\tauth_server\n\t}\n\tjwt_auth web\n" +
				"\treverse_proxy {{.Proxy}}\n}\n",
			check: "lies behind the gate", sees: "Signing in is not possible"},
		{name: "behind the gate, in a route", auth: `issuer {{url "app"}}/auth`, page: `{{url "app"}}/page`,
			sites: "{{url \"app\"}} {\n\tlog\n\troute {\n\t\tjwt_auth web\n\t\tauth_server\n\t\treverse_proxy " +
				"{{.Proxy}}\n\t}\n}\n",
			check: "lies behind the gate", sees: "Signing in is not possible"},
		{name: "behind a gate with a negated matcher", auth: `issuer {{url "app"}}/auth`, page: `{{url "app"}}/page`,
			sites: "{{url \"app\"}} {\n\tlog\n\t@private not path /public/*\n\troute {\n\t\tjwt_auth @private web\n" +
				"\t\tauth_server\n\t\treverse_proxy {{.Proxy}}\n\t}\n}\n",
			check: "lies behind the gate", sees: "Signing in is not possible"},
		{
			name:  "no cookie is read",
			auth:  authAtAuth,
			sites: webSiteWith("from header X-Token"),
			page:  `{{url "app"}}/page`,
			check: "does not read the session cookie",
			sees:  "did not accept this sign-in",
		},
		{
			name:  "another project",
			auth:  authAtAuth + "\n\tproject acme",
			sites: webSiteWith("project acme"),
			page:  `{{url "app"}}/page`,
			check: "only tokens of the project acme",
			sees:  "did not accept this sign-in",
		},
		{
			name:  "another issuer",
			auth:  authAtAuth + "\n\ttrust https://login.partner.example",
			page:  `{{url "app"}}/page`,
			sites: webSiteWith("issuer https://login.partner.example"),
			check: "does not accept the server's own issuer",
			sees:  "did not accept this sign-in",
		},
		{
			name:  "a resource",
			auth:  authAtAuth,
			sites: webSiteWith("resource https://mcp.example"),
			page:  `{{url "app"}}/page`,
			check: "name no resource",
			sees:  "did not accept this sign-in",
		},
		{
			name:  "lifetimes above the longest",
			auth:  authAtAuth + "\n\tmax_lifetime 1m",
			sites: webSiteWith("name app"),
			page:  `{{url "app"}}/page`,
			check: "gates refuse every one of them",
		},
		{
			name:  "a project without web",
			auth:  authAtAuth + "\n\tproject default {\n\t\taudiences api\n\t}",
			sites: webSiteWith("name app"),
			page:  `{{url "app"}}/page`,
			check: "without `web`",
		},
	}
}

// goodSignIns work, or may work with what stands in front of them.
func goodSignIns() []signInSetup {
	return []signInSetup{
		{
			name:  "two ports",
			auth:  authAtAuth,
			sites: webSiteWith("name app"),
			page:  `{{url "app"}}/page`,
			sees:  "x-user",
		},
		{name: "another host", auth: `issuer {{url "auth"}}` + "\n\treturn_to " + appHost, page: appHost + "/page",
			sites: authSite + appHost + " {\n\tlog\n\tjwt_auth web\n\treverse_proxy {{.Proxy}}\n}\n",
			sees:  "x-user"},
		{name: "another host that is not listed", auth: `issuer {{url "auth"}}`, page: appHost + "/page",
			sites: authSite + appHost + " {\n\tlog\n\tjwt_auth web\n\treverse_proxy {{.Proxy}}\n}\n",
			sees:  "x-user"},
		{name: "an IPv6 address that is not listed", auth: `issuer {{url "auth"}}`, page: addressHost + "/page",
			sites: authSite + addressHost + " {\n\tlog\n\tjwt_auth web\n\treverse_proxy {{.Proxy}}\n}\n",
			sees:  "x-user"},
		{name: "two hosts, one of them another", auth: authAtAuth, page: appHost + "/page",
			sites: authSite + "{{url \"app\"}}, " + appHost +
				" {\n\tlog\n\tjwt_auth web\n\treverse_proxy {{.Proxy}}\n}\n",
			sees: "x-user"},
		{name: "another host, where a gate guards some paths", auth: `issuer {{url "auth"}}`, page: appHost + "/page",
			sites: authSite + appHost + " {\n\tlog\n\tjwt_auth /page* web\n\treverse_proxy {{.Proxy}}\n}\n",
			sees:  "x-user"},
		{name: "another host, where the callback is named", auth: `issuer {{url "auth"}}`, page: appHost + "/page",
			sites: authSite + appHost + " {\n\tlog\n\tjwt_auth /.auth/* off\n\thandle /page* {\n\t\tjwt_auth web" +
				"\n\t\treverse_proxy {{.Proxy}}\n\t}\n\thandle {\n\t\tabort\n\t}\n}\n",
			sees: "x-user"},
		{name: "another host, rewritten", auth: `issuer {{url "auth"}}`, page: appHost + "/page",
			sites: authSite + appHost + " {\n\tlog\n\trewrite * /index\n\tjwt_auth web\n\treverse_proxy " +
				"{{.Proxy}}\n}\n",
			sees: "x-user"},
		{name: "a host that only `return_to` names", page: appHost + "/page", sees: "x-user",
			auth:  `issuer {{url "auth"}}` + "\n\treturn_to " + appHost,
			sites: authSite + "http://:{{port \"app\"}} {\n\tlog\n\tjwt_auth web\n\treverse_proxy {{.Proxy}}\n}\n"},
		{name: "an application that has the gateway's path", auth: `issuer {{url "auth"}}`, page: appHost + "/page",
			sites: authSite + appHost + " {\n\tlog\n\tjwt_auth web\n\thandle /.auth/* {\n\t\tabort\n\t}\n\thandle {\n" +
				"\t\treverse_proxy {{.Proxy}}\n\t}\n}\n",
			sees: "x-user", warns: "the route for /.auth/* is never asked"},
		{name: "a return target where no gate stands", auth: `issuer {{url "auth"}}` + "\n\treturn_to " + appHost,
			sites: authSite, warns: "return_to http://app.localhost"},
		{name: "one site", auth: `issuer {{url "app"}}`, page: `{{url "app"}}/page`, sees: "x-user",
			sites: "{{url \"app\"}} {\n\tlog\n\tauth_server\n\tjwt_auth web\n\treverse_proxy {{.Proxy}}\n}\n"},
		{name: "beneath a path", auth: `issuer {{url "app"}}/auth`, page: `{{url "app"}}/page`, sees: "x-user",
			sites: "{{url \"app\"}} {\n\tlog\n\thandle /auth/* {\n\t\tauth_server\n\t}\n\thandle {\n\t\tjwt_auth " +
				"web\n\t\treverse_proxy {{.Proxy}}\n\t}\n}\n"},
		{
			name: "beneath a path, with a matcher that looks elsewhere",
			auth: `issuer {{url "app"}}/auth`,
			page: `{{url "app"}}/page`,
			sees: "x-user",
			sites: "{{url \"app\"}} {\n\tlog\n\t@known header X-Unknown *\n\tjwt_auth @known web\n\thandle /auth/* " +
				"{\n\t\tauth_server\n\t}\n\thandle {\n\t\tjwt_auth web\n\t\treverse_proxy {{.Proxy}}\n\t}\n}\n",
		},
		{
			name: "beneath a path, behind the strip of a matcher",
			auth: `issuer {{url "app"}}/auth`,
			page: `{{url "app"}}/page`,
			sees: "x-user",
			sites: "{{url \"app\"}} {\n\tlog\n\tjwt_auth /admin* web\n\thandle /auth/* {\n\t\tauth_server\n\t}\n" +
				"\thandle {\n\t\tjwt_auth web\n\t\treverse_proxy {{.Proxy}}\n\t}\n}\n",
		},
		{name: "a named route", auth: `issuer {{url "app"}}/auth`, page: `{{url "app"}}/page`, sees: "x-user",
			sites: "&(login) {\n\tauth_server\n}\n{{url \"app\"}} {\n\tlog\n\thandle /auth/* {\n\t\tinvoke login\n" +
				"\t}\n\thandle {\n\t\tjwt_auth web\n\t\treverse_proxy {{.Proxy}}\n\t}\n}\n"},
		{
			name:  "all hosts of a domain",
			auth:  "issuer " + appHost,
			page:  appHost + "/page",
			sees:  "x-user",
			warns: "of the hosts *.localhost",
			sites: "http://*.localhost:{{port \"app\"}} {\n\tlog\n\tauth_server\n\tjwt_auth web\n\treverse_proxy " +
				"{{.Proxy}}\n}\n",
		},
		{name: "ports that are mapped", auth: "issuer https://app.example.com", globals: "https_port {{port \"app\"}}",
			sites: "https://app.example.com {\n\tauth_server\n\tjwt_auth web\n\treverse_proxy {{.Proxy}}\n}\n"},
		{
			name:  "ports that may be mapped",
			auth:  "issuer https://app.example.com",
			warns: "public URL https://app.example.com",
			sites: "https://app.example.com:{{port \"app\"}} {\n\tauth_server\n\tjwt_auth web\n\treverse_proxy " +
				"{{.Proxy}}\n}\n",
		},
		{name: "any host", auth: authAtAuth, page: `{{url "app"}}/page`, sees: "x-user",
			sites: authSite + "http://:{{port \"app\"}} {\n\tlog\n\tjwt_auth web\n\treverse_proxy {{.Proxy}}\n}\n"},
		{name: "another proxy in front", auth: `issuer https://app.example.com/auth`,
			sites: "http://:{{port \"app\"}} {\n\thandle /auth/* {\n\t\tauth_server\n\t}\n\thandle {\n\t\tjwt_auth " +
				"web\n\t\treverse_proxy {{.Proxy}}\n\t}\n}\n"},
		{name: "no browsers elsewhere", auth: authAtAuth,
			sites: authSite + appHost + " {\n\tjwt_auth web {\n\t\tlogin off\n\t}\n\treverse_proxy {{.Proxy}}\n}\n"},
		{
			name:  "programs elsewhere",
			auth:  authAtAuth,
			sites: authSite + appHost + " {\n\tjwt_auth api\n\treverse_proxy {{.Proxy}}\n}\n",
		},
		{name: "a server elsewhere", auth: `issuer {{url "app"}}/auth`,
			sites: "{{url \"app\"}} {\n\tjwt_auth web {\n\t\tlogin {{url \"app\"}}/auth/login\n\t}\n\treverse_proxy " +
				"{{.Proxy}}\n}\n"},
		{
			name: "reports only",
			auth: authAtAuth,
			sites: authSite + appHost +
				" {\n\tjwt_auth web {\n\t\tmode report_only\n\t}\n\treverse_proxy {{.Proxy}}\n}\n",
		},
	}
}

func (s signInSetup) options() string { return s.globals + "\nauth {\n\t" + s.auth + onePerson + "\n}" }

// TestCheckFindsSignInsThatCannotWork: what cannot work is an error, what may work is none.
func TestCheckFindsSignInsThatCannotWork(t *testing.T) {
	for _, s := range append(brokenSignIns(), goodSignIns()...) {
		t.Run(s.name, func(t *testing.T) {
			g := newGateway(t)
			out, stderr, err := command("", "check", "--config", g.configFile(s.options(), s.sites))
			if s.check == "" && (err != nil || strings.Contains(out, "error: ") || !strings.HasSuffix(out, "ok\n")) {
				t.Errorf("it should find nothing: %v %s\n%s", err, stderr, out)
			}
			if s.check != "" &&
				(err == nil || !regexp.MustCompile(`(?m)^error: .*`+regexp.QuoteMeta(s.check)).MatchString(out) ||
					strings.Contains(out, "\nok")) {
				t.Errorf("it should fail with %q: %v %s\n%s", s.check, err, stderr, out)
			}
			if s.warns != "" && !regexp.MustCompile(`(?m)^warning: .*`+regexp.QuoteMeta(s.warns)).MatchString(out) {
				t.Errorf("it should warn of %q:\n%s", s.warns, out)
			}
		})
	}
}

// TestLoadWarnsOfSignInsThatCannotWork: what `check` finds stands in the log of a start.
func TestLoadWarnsOfSignInsThatCannotWork(t *testing.T) {
	g := newGateway(t)
	s := brokenSignIns()[0]
	g.load(s.options(), s.sites)
	if !regexp.MustCompile(`"level":"warn".*browsers cannot sign in as the configuration has it`).MatchString(g.log()) {
		t.Error("no warning")
	}
}
