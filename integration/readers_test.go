package integration

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// readerSites guard all but /public, or /private alone. The same without a gate shows that the
// application does read other paths.
const readerSites = authSite + `
{{url "bare"}} {
	reverse_proxy 127.0.0.1:{{port "application"}}
}
{{url "inverse"}} {
	@private not path /public/*
	jwt_auth @private api
	reverse_proxy 127.0.0.1:{{port "application"}}
}
{{url "prefix"}} {
	jwt_auth /private/* api
	reverse_proxy 127.0.0.1:{{port "application"}}
}
{{url "off"}} {
	handle /private/* {
		jwt_auth api
		reverse_proxy 127.0.0.1:{{port "application"}}
	}
	handle {
		jwt_auth off
		reverse_proxy 127.0.0.1:{{port "application"}}
	}
}
`

// TestNodeReadsWhatWasDecidedOn: `new URL(request.url, base)` takes the first segment behind `//`
// for a host.
func TestNodeReadsWhatWasDecidedOn(t *testing.T) {
	g := newGateway(t)
	node := requireProgram(t, "node")
	g.run(t, g.addr("application"), exec.Command(node, application(t, "node.js"), strconv.Itoa(g.port("application"))))
	g.load(standardAuth, readerSites)
	g.checkReader(t, "/private/s", []readerCase{
		{"inverse", "//public/private/s"},
		{"prefix", "//public/private/s"},
		{"off", "//x/private/s"},
		{"prefix", "x:http://AUTHORITY/private/s"},
		{"inverse", "x:http://AUTHORITY/private/s"},
		{"off", "x:http://AUTHORITY/private/s"},
	})
}

// TestTomcatReadsWhatWasDecidedOn: servlet containers take parameters off before they choose a
// servlet.
func TestTomcatReadsWhatWasDecidedOn(t *testing.T) {
	java := requireProgram(t, "java")
	jar := "/usr/share/java/tomcat10-embed-core.jar"
	if _, err := os.Stat(jar); err != nil {
		word := jar + " is not installed"
		if os.Getenv("CI_REQUIRE_ALL") == "1" {
			t.Fatal(word)
		}
		t.Skip(word)
	}
	g := newGateway(t)
	g.run(t, g.addr("application"),
		exec.Command(java, "-cp", jar, application(t, "Tomcat10.java"), strconv.Itoa(g.port("application")), g.dir))
	g.load(standardAuth, readerSites)
	g.checkReader(t, "private /private /s", []readerCase{
		{"prefix", "/private;x/s"},
		{"prefix", "/private;x=1;y/s"},
		{"prefix", "/;x/private/s"},
		{"off", "/private;x/s"},
		{"inverse", "/public/..;/private/s"},
		{"prefix", "x:http://AUTHORITY/private/s"},
	})
}

type readerCase struct{ site, target string }

// checkReader sends targets that the application takes for its private page. It must say so when it
// is asked directly, and must not be asked behind a gate.
func (g *gateway) checkReader(t *testing.T, private string, cases []readerCase) {
	t.Helper()
	token := g.tokens.mint("es1", "alice", nil)
	for _, site := range []string{"inverse", "prefix", "off"} {
		got := sendHTTP1(t, g.addr(site),
			call{target: "/private/s", host: g.host(site), lines: []string{"Authorization: Bearer " + token}})
		if got.status != http.StatusOK || got.body != private {
			t.Fatalf("%s with a token: status %d: %s", site, got.status, got.body)
		}
	}
	for _, c := range cases {
		t.Run(c.site+" "+c.target, func(t *testing.T) {
			target := func(site string) string { return strings.ReplaceAll(c.target, "AUTHORITY", g.host(site)) }
			got := sendHTTP1(t, g.addr("bare"), call{target: target("bare"), host: g.host("bare")})
			if got.body != private {
				t.Errorf("without a gate the application reads %q", got.body)
			}
			got = sendHTTP1(t, g.addr(c.site), call{target: target(c.site), host: g.host(c.site)})
			if got.status != http.StatusBadRequest || got.reason(t) != "ambiguous_path" ||
				strings.Contains(got.body, private) {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

// application is where the source of an application of the tests lies.
func application(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "applications", file))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
