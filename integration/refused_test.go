package integration

import (
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// refusedConfig is a configuration that must not load, and what the error must say.
type refusedConfig struct {
	name    string
	globals string
	sites   string   // "" = refusedSite
	says    []string // all of these
}

const refusedSite = authSite + `
{{url "api"}} {
	jwt_auth api
	reverse_proxy {{.Proxy}}
}
`

// auth wraps the lines of a refused configuration into a block that is good without them.
func auth(lines string) string {
	return "auth {\n\tissuer {{url \"auth\"}}\n\t" + lines + "\n}"
}

func gateWith(lines string) string {
	return "{{url \"api\"}} {\n\tjwt_auth api {\n\t\t" + lines + "\n\t}\n\treverse_proxy {{.Proxy}}\n}\n"
}

const goodSecret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

var refusedKeys = []refusedConfig{
	{name: "RSA of 1024 bits", globals: auth(`keys {
		file weak "{{.Weak}}"
	}`), says: []string{"1024", "2048"}},
	{name: "HMAC secret of 5 bytes", globals: auth("keys short:{{.FiveBytes}}"), says: []string{"short", "32"}},
	{name: "HS512 secret of 32 bytes", globals: auth(`keys short:` + goodSecret + ` {
		algorithm HS512
	}`), says: []string{"short", "64"}},
	{
		name:    "repeated kid",
		globals: auth("keys same:" + goodSecret + ",same:" + goodSecret),
		says:    []string{"same", "twice|repeated|more than one"},
	},
	{name: "kid of a file and of a string", globals: auth(`keys es1:` + goodSecret + ` {
		file es1 "{{keyfile "es1"}}"
	}`), says: []string{"es1"}},
	{name: "empty kid", globals: auth("keys :" + goodSecret), says: []string{"kid|id"}},
	{name: "entry without a kid", globals: auth("keys " + goodSecret), says: []string{"kid|keys"}},
	{name: "entry that is no base64", globals: auth("keys odd:!!!not-base64-at-all!!!"), says: []string{"odd"}},
	{name: "key file that is not there", globals: auth(`keys {
		file gone "{{.Dir}}/no-such-file.pem"
	}`), says: []string{"no-such-file.pem"}},
	{name: "key file that is a folder", globals: auth(`keys {
		file gone "{{.Dir}}"
	}`), says: []string{"gone"}},
	{name: "key file without a key", globals: auth(`keys {
		file odd "{{.NoKey}}"
	}`), says: []string{"nokey.pem"}},
	{name: "active key that is not in the ring", globals: auth(`keys one:` + goodSecret + ` {
		active two
	}`), says: []string{"two"}},
	{name: "active key that cannot sign", globals: auth(`keys one:` + goodSecret + ` {
		file pub "{{.PublicOnly}}"
		active pub
	}`), says: []string{"pub", "sign"}},
	{name: "server without a key that can sign", globals: auth(`keys {
		file pub "{{.PublicOnly}}"
	}`), says: []string{"sign"}},
	{
		name:    "unknown algorithm",
		globals: auth("keys one:" + goodSecret + " {\n\t\talgorithm HS257\n\t}"),
		says:    []string{"HS257"},
	},
	{name: "algorithm none", globals: auth("keys {\n\t\talgorithm none\n\t}"), says: []string{"none"}},
	{
		name:    "short secret text",
		globals: auth("keys {\n\t\tsecret_text one too-short\n\t}"),
		says:    []string{"one", "32"},
	},
	{
		name:    "unresolved placeholder in the keys",
		globals: auth("keys {env.NOT_SET_ANYWHERE}"),
		says:    []string{"NOT_SET_ANYWHERE", "keys"},
	},
	{
		name:    "unresolved placeholder in the active key",
		globals: auth("keys one:" + goodSecret + " {\n\t\tactive {env.NOT_SET_ANYWHERE}\n\t}"),
		says:    []string{"NOT_SET_ANYWHERE"},
	},
	{
		name:    "unresolved placeholder in a hash",
		globals: auth("user alice {\n\t\tpassword_hash {env.NOT_SET_ANYWHERE}\n\t}"),
		says:    []string{"NOT_SET_ANYWHERE", "alice"},
	},
	{name: "short sealing secret", globals: auth("secret one:AAAA"), says: []string{"secret", "32"}},
}

var refusedSettings = []refusedConfig{
	{name: "no issuer", globals: "auth {\n\taudiences api\n}", says: []string{"issuer"}},
	{
		name:    "issuer that is no URL, without a public one",
		globals: "auth {\n\tissuer authara\n}",
		says:    []string{"public_url"},
	},
	{name: "public URL without TLS", globals: "auth {\n\tissuer http://auth.example.com\n}", says: []string{"https"}},
	{name: "unknown option", globals: auth("colour blue"), says: []string{"colour", "Caddyfile:"}},
	{name: "option twice", globals: auth("store sqlite:/a\n\tstore sqlite:/b"), says: []string{"store", "Caddyfile:"}},
	{
		name:    "return target with a path",
		globals: auth("return_to https://app.example.com/x"),
		says:    []string{"return_to", "Caddyfile:"},
	},
	{
		name:    "return target without TLS",
		globals: auth("return_to http://app.example.com"),
		says:    []string{"https", "Caddyfile:"},
	},
	{
		name:    "short lifetime",
		globals: auth("lifetimes {\n\t\taccess_token 59s\n\t}"),
		says:    []string{"access_token", "59s", "1m", "Caddyfile:"},
	},
	{
		name:    "long lifetime",
		globals: auth("lifetimes {\n\t\taccess_token 400d\n\t}"),
		says:    []string{"access_token", "Caddyfile:"},
	},
	{
		name:    "password instead of a hash",
		globals: auth("user alice {\n\t\tpassword_hash {{.Password}}\n\t}"),
		says:    []string{"alice", "hash"},
	},
	{
		name:    "reserved claim",
		globals: auth("user alice {\n\t\tclaim iss https://evil.example\n\t}"),
		says:    []string{"iss", "reserved", "Caddyfile:"},
	},
	{
		name:    "reserved claim in another case",
		globals: auth("user alice {\n\t\tclaim Project acme\n\t}"),
		says:    []string{"Project", "reserved"},
	},
	{
		name:    "user twice",
		globals: auth("user alice {\n\t\tdisabled\n\t}\n\tuser Alice {\n\t\tdisabled\n\t}"),
		says:    []string{"lice"},
	},
	{
		name:    "trusted issuer twice",
		globals: auth("trust https://i.example\n\ttrust https://i.example"),
		says:    []string{"https://i.example", "duplicate"},
	},
	{name: "own issuer trusted", globals: auth("trust {{url \"auth\"}}"), says: []string{"duplicate|own"}},
	{
		name:    "key set without TLS",
		globals: auth("trust https://i.example {\n\t\tjwks http://i.example/jwks\n\t}"),
		says:    []string{"https"},
	},
	{
		name:    "key set in a file",
		globals: auth("trust https://i.example {\n\t\tjwks file:///etc/passwd\n\t}"),
		says:    []string{"jwks"},
	},
	{
		name:    "symmetric algorithm of a foreign issuer",
		globals: auth("trust https://i.example {\n\t\talgorithms HS256\n\t}"),
		says:    []string{"HS256"},
	},
	{name: "unknown store", globals: auth("store mysql://somewhere/db"), says: []string{"store"}},
	{name: "auth twice", globals: auth("audiences api") + "\n" + auth("audiences api"), says: []string{"auth"}},
}

var refusedGates = []refusedConfig{
	{
		name:  "gate without audience",
		sites: "{{url \"api\"}} {\n\tjwt_auth\n\treverse_proxy {{.Proxy}}\n}\n",
		says:  []string{"audience", "Caddyfile:"},
	},
	{
		name:  "gate without audience, in a block",
		sites: "{{url \"api\"}} {\n\tjwt_auth {\n\t\tforward sub X-User-Id\n\t}\n}\n",
		says:  []string{"audience"},
	},
	{
		name:  "gate with a matcher and no audience",
		sites: "{{url \"api\"}} {\n\tjwt_auth /x*\n\treverse_proxy {{.Proxy}}\n}\n",
		says:  []string{"audience"},
	},
	{
		name:  "audience that is not the server's",
		sites: "{{url \"api\"}} {\n\tjwt_auth nonsense\n}\n",
		says:  []string{"nonsense"},
	},
	{
		name:    "gate without the global option",
		globals: "debug",
		sites:   "{{url \"api\"}} {\n\tjwt_auth api\n}\n",
		says:    []string{"auth"},
	},
	{
		name:  "foreign issuer that nobody trusts",
		sites: gateWith("issuer https://nobody.example"),
		says:  []string{"https://nobody.example", "trust"},
	},
	{name: "header with an underscore", sites: gateWith("forward sub X_User_Id"), says: []string{"X_User_Id"}},
	{name: "header with a dot", sites: gateWith("forward sub X.User.Id"), says: []string{"X.User.Id"}},
	{name: "header with a space", sites: gateWith("forward sub \"X User\""), says: []string{"X User"}},
	{
		name:  "header that frames the message",
		sites: gateWith("forward sub Content-Length"),
		says:  []string{"Content-Length"},
	},
	{name: "header that names the host", sites: gateWith("forward sub Host"), says: []string{"Host"}},
	{name: "header of the credential", sites: gateWith("forward sub Authorization"), says: []string{"Authorization"}},
	{name: "forward without a header", sites: gateWith("forward sub"), says: []string{"Caddyfile:"}},
	{name: "unknown preset", sites: gateWith("forward_preset nginx"), says: []string{"nginx"}},
	{name: "unknown mode", sites: gateWith("mode lenient"), says: []string{"lenient"}},
	{name: "leeway over the limit", sites: gateWith("leeway 10m"), says: []string{"leeway", "10m", "5m"}},
	{name: "negative leeway", sites: gateWith("leeway -1s"), says: []string{"leeway"}},
	{name: "require without a claim", sites: gateWith("require"), says: []string{"Caddyfile:"}},
	{name: "require scope without scopes", sites: gateWith("require scope"), says: []string{"Caddyfile:"}},
	{name: "empty required value", sites: gateWith("require role \"\""), says: []string{"role"}},
	{name: "unknown option of a gate", sites: gateWith("allow everyone"), says: []string{"allow", "Caddyfile:"}},
	{name: "unknown source", sites: gateWith("from pigeon"), says: []string{"pigeon"}},
	{name: "origin with a path", sites: gateWith("origins https://a.example/x"), says: []string{"origins"}},
	{name: "any origin", sites: gateWith("origins *"), says: []string{"origins"}},
	{
		name:  "login page without TLS",
		sites: "{{url \"web\"}} {\n\tjwt_auth web {\n\t\tlogin http://login.example.com/login\n\t}\n}\n",
		says:  []string{"https"},
	},
}

// TestRefusedConfigurations: each is refused with words that help, no secret among them, and the
// running configuration goes on answering.
func TestRefusedConfigurations(t *testing.T) {
	g := newGateway(t)
	g.writeRefusedFiles(t)
	g.load(standardAuth, refusedSite)
	token := g.tokens.mint("es1", "alice", nil)
	g.checkPasses(t, token)
	for _, table := range [][]refusedConfig{refusedKeys, refusedSettings, refusedGates} {
		for _, c := range table {
			t.Run(c.name, func(t *testing.T) {
				if c.globals == "" {
					c.globals = standardAuth
				}
				if c.sites == "" {
					c.sites = refusedSite
				}
				g.checkRefused(t, c)
				g.checkPasses(t, token)
			})
		}
	}
}

func (g *gateway) checkRefused(t *testing.T, c refusedConfig) {
	t.Helper()
	err := g.tryLoad(c.globals, c.sites)
	if err == nil {
		g.load(standardAuth, refusedSite)
		t.Fatal("it was not refused")
	}
	for _, words := range c.says {
		if !containsAny(err.Error(), strings.Split(words, "|")) {
			t.Errorf("the error does not say %q: %v", words, err)
		}
	}
	for _, secret := range []string{
		goodSecret, "not-base64-at-all", "too-short", g.extra["FiveBytes"].(string), g.tokens.hmacText, alicePassword,
	} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds a secret: %v", err)
		}
	}
}

func containsAny(text string, words []string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// writeRefusedFiles makes the key files that the table names.
func (g *gateway) writeRefusedFiles(t *testing.T) {
	t.Helper()
	g.extra["Weak"] = writeKey(t, g.dir, "weak", weakRSA())
	g.extra["FiveBytes"] = base64.StdEncoding.EncodeToString([]byte("five!"))
	g.extra["Password"] = alicePassword
	for _, c := range []struct {
		name string
		data []byte
	}{{"nokey.pem", []byte("no key here\n")}, {"public.pem", g.tokens.publicForms("rs1")["PEM"]}} {
		if err := os.WriteFile(filepath.Join(g.dir, c.name), c.data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.extra["NoKey"], g.extra["PublicOnly"] = filepath.Join(g.dir, "nokey.pem"), filepath.Join(g.dir, "public.pem")
	g.secret("secrets of refused configurations", goodSecret, "not-base64-at-all")
}

// TestValidateWritesNothing: looking at a configuration leaves no file behind.
func TestValidateWritesNothing(t *testing.T) {
	g := newGateway(t)
	text := g.caddyfile(generatedAuth, apiSite)
	begin, end := strings.Index(text, "\tlog {"), strings.Index(text, "\tservers {")
	adapted, err := adapt(text[:begin] + text[end:]) // a log file is Caddy's own business
	if err != nil {
		t.Fatal(err)
	}
	var config caddy.Config
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(g.dir, "data"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			t.Errorf("it left %s", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// openSites are sites with gates in which one path leads round them; and two in which none does.
var openSites = []struct {
	name, text string
	warned     bool
}{
	{
		"handle",
		"handle /open/* {\n\t\treverse_proxy {{.Proxy}}\n\t}\n\thandle {\n\t\tjwt_auth api\n\t\treverse_proxy " +
			"{{.Proxy}}\n\t}",
		true,
	},
	{
		"php",
		"handle /open/* {\n\t\tphp_fastcgi {{.PHP}}\n\t}\n\thandle {\n\t\tjwt_auth api\n\t\treverse_proxy " +
			"{{.Proxy}}\n\t}",
		true,
	},
	{
		"route order",
		"route {\n\t\treverse_proxy /open/* {{.Proxy}}\n\t\tjwt_auth api\n\t\treverse_proxy {{.Proxy}}\n\t}", true,
	},
	{"invoke", "handle /open/* {\n\t\tinvoke app\n\t}\n\thandle {\n\t\tjwt_auth api\n\t\tinvoke app\n\t}", true},
	{
		"handle_errors",
		"jwt_auth api\n\treverse_proxy {{.Proxy}}\n\thandle_errors {\n\t\treverse_proxy /open/* {{.Proxy}}\n\t}",
		false,
	},
	{
		"off",
		"handle /open/* {\n\t\tjwt_auth off\n\t\treverse_proxy {{.Proxy}}\n\t}\n\thandle {\n\t\tjwt_auth api\n" +
			"\t\treverse_proxy {{.Proxy}}\n\t}",
		false,
	},
	{"matcher", "jwt_auth /private/* api\n\treverse_proxy {{.Proxy}}", false},
}

// TestUnguardedRoutesAreNamed: in a site with gates, a route to an application that is behind none
// is named at load, or covered without being asked.
func TestUnguardedRoutesAreNamed(t *testing.T) {
	for _, c := range openSites {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			g.load(standardAuth,
				"&(app) {\n\treverse_proxy {{.Proxy}}\n}\n"+authSite+
					"{{url \"owner\"}} {\n\tjwt_auth api {\n\t\tforward sub X-User-Id\n\t}\n}\n{{url \"mixed\"}} {\n\t"+
					c.text+"\n}\n")
			warned := false
			for line := range strings.Lines(g.log()) {
				warned = warned || strings.Contains(line, `"level":"warn"`) && strings.Contains(line, `"logger":"auth"`)
			}
			got := g.get(t, "mixed", "/open/x", "", "X-User-Id: eve")
			if warned != c.warned && (c.warned && got.status == http.StatusOK || !c.warned) {
				t.Errorf("warned: %v; without credential: status %d", warned, got.status)
			}
			for _, s := range append(g.proxy.take(), g.php.take()...) {
				if !warned && len(s.identity()) > 0 {
					t.Errorf("nobody was warned, and the application saw %q", s.identity())
				}
			}
		})
	}
}
