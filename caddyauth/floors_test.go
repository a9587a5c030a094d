package caddyauth

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/caddyauth/gateway/integration/documents"
)

const modulePath = "github.com/caddyauth/gateway"

// packageRule says what one package may import besides the standard library.
type packageRule struct {
	layer   int
	path    string
	inside  []string // other packages of this module
	outside []string // packages of other modules, each with all beneath it
}

// packageRules are the rules. A new arrow goes in here, with a sentence in docs/architecture.md;
// arrows run down only.
var packageRules = []packageRule{
	{14, "integration",
		words("caddyauth module/authserver module/config module/jwtauth integration/chromium integration/documents"),
		words(caddyPath, "github.com/chromedp golang.org/x/crypto golang.org/x/net")},
	{14, "integration/clients", words("caddyauth integration/chromium"),
		words(caddyPath, "github.com/chromedp github.com/coreos/go-oidc/v3 golang.org/x/crypto golang.org/x/oauth2")},
	{14, "bench/fill", words("store/sqlstore domain/revocation"), nil},
	{14, "bench/load", nil, nil},
	{14, "bench/mint", words("jose/token jose/keyring"), nil},
	{14, "bench/upstream", nil, nil},
	{13, "cmd/caddy", words("caddyauth"), words(caddyPath+"/cmd", caddyPath+"/modules/standard")},
	{
		12,
		"caddyauth",
		words("module/command module/adminapi module/auth module/authserver module/connections module/jwtauth",
			"module/verdict"),
		nil,
	},
	{11, "module/command",
		words("module/explain module/adminapi module/auth store/sqlstore jose/keyring",
			"domain/apitoken domain/audit domain/clients domain/openid domain/project",
			"module/version module/terminal"),
		words(caddyPath,
			"github.com/go-json-experiment/json",
			"github.com/spf13/cobra github.com/spf13/pflag github.com/mileusna/useragent golang.org/x/term")},
	{10, "module/explain",
		words("module/adminapi module/auth module/jwtauth guard/gate domain/identity domain/issuance domain/openid",
			"domain/project jose/token",
			"jose/keyring jose/leeway module/finding module/option module/survey module/terminal"),
		words(caddyPath, "github.com/spf13/cobra")},
	{9, "module/jwtauth",
		words("module/auth module/config module/option module/request module/survey",
			"guard/browser guard/gate guard/handover guard/stream",
			"domain/issuance domain/project jose/leeway jose/token serve/ui web/endpoint"),
		words(caddyPath, "go.uber.org/zap")},
	{9, "module/authserver",
		words("module/auth module/config module/option module/request guard/browser guard/gate serve/ui web/endpoint"),
		words(caddyPath)},
	{9, "module/verdict",
		words("module/auth module/option module/request guard/gate guard/verdict jose/token web/endpoint"),
		words(caddyPath, "go.uber.org/zap")},
	{9, "module/adminapi",
		words("module/auth serve/manage web/endpoint",
			"domain/apitoken domain/clients domain/revocation domain/session jose/keyring"),
		words(caddyPath)},
	{
		8,
		"module/auth",
		words(
			"store/sqlstore",
			"serve/authorize serve/clientauth serve/device serve/discovery serve/endsession serve/login serve/manage",
			"serve/oauth serve/registration serve/userinfo domain/openid",
			"guard/browser guard/gate guard/handover guard/possession guard/stream",
			"domain/apitoken domain/audit domain/clients domain/consent domain/issuance domain/identity domain/opaque",
			"domain/project",
			"domain/replay domain/revocation domain/session",
			"jose/dpop jose/keyring jose/leeway jose/token",
			"module/config module/connections module/finding module/option module/request module/survey module/version",
			"web/egress web/endpoint web/weburl",
		),
		words(caddyPath, "go.uber.org/zap github.com/prometheus/client_golang"),
	},
	{7, "module/survey", words("domain/project guard/browser guard/gate module/finding module/request web/weburl"),
		words(caddyPath)},
	{7, "module/config",
		words("module/option domain/audit domain/clients domain/identity domain/project domain/secrets domain/session",
			"domain/issuance domain/openid",
			"jose/keyring",
			"jose/token web/weburl"),
		words(caddyPath, "github.com/go-json-experiment/json")},
	{6, "module/option", words("domain/project"), words(caddyPath)},
	{6, "store/sqlstore",
		words("domain/apitoken domain/audit domain/authorization domain/backchannel domain/clients domain/consent",
			"domain/device domain/issuance domain/identity",
			"domain/session jose/keyring domain/project domain/replay domain/revocation"),
		words("modernc.org/sqlite github.com/jackc/pgx/v5")},
	{
		6, "guard/browser", words("guard/stream guard/gate jose/token domain/session serve/ui"),
		words("golang.org/x/sync"),
	},
	{5, "guard/verdict", words("guard/gate"), words("golang.org/x/net")},
	{6, "guard/handover", words("domain/audit guard/gate jose/keyring serve/ui web/endpoint web/weburl"), nil},
	{6, "serve/registration",
		words("domain/audit domain/clients domain/identity domain/project domain/secrets",
			"web/egress web/endpoint web/weburl"),
		words("golang.org/x/net")},
	{6, "serve/login", words("domain/audit domain/issuance domain/identity serve/ui web/endpoint web/weburl"), nil},
	{
		5,
		"serve/manage",
		words(
			"domain/identity domain/session domain/apitoken domain/audit domain/clients domain/consent domain/project",
			"domain/revocation domain/secrets web/endpoint web/weburl",
		),
		nil,
	},
	{7, "serve/oauth",
		words("domain/audit domain/authorization domain/clients domain/device domain/issuance domain/project",
			"domain/session domain/secrets jose/keyring jose/token serve/clientauth web/endpoint web/weburl"), nil},
	{7, "serve/device",
		words("domain/audit domain/clients domain/device domain/identity domain/issuance domain/openid",
			"domain/project serve/clientauth serve/ui web/endpoint web/weburl"), nil},
	{2, "serve/endsession", words("domain/audit domain/backchannel web/egress"), nil},
	{7, "serve/authorize",
		words("domain/audit domain/authorization domain/clients domain/consent domain/identity",
			"domain/issuance domain/openid domain/secrets domain/session jose/dpop",
			"serve/clientauth serve/ui web/endpoint web/weburl"), nil},
	{6, "serve/clientauth",
		words("domain/audit domain/clients domain/identity domain/issuance domain/replay jose/dpop jose/keyring",
			"jose/leeway jose/token web/clientcert web/endpoint"), nil},
	{
		6,
		"serve/userinfo",
		words(
			"domain/audit domain/issuance domain/session guard/gate jose/dpop jose/token web/endpoint web/weburl",
		),
		nil,
	},
	{
		5,
		"domain/issuance",
		words(
			"domain/audit domain/authorization domain/backchannel domain/clients domain/device domain/identity",
			"domain/session domain/project domain/openid domain/replay domain/revocation domain/secrets",
			"jose/token jose/keyring jose/leeway",
		),
		nil,
	},
	{5, "guard/possession", words("guard/gate jose/dpop jose/token domain/replay"), nil},
	{5, "guard/stream", words("guard/gate jose/token domain/session jose/keyring jose/leeway"), nil},
	{4, "serve/discovery", words("jose/dpop web/endpoint web/weburl"), nil},
	{4, "guard/gate", words("jose/token jose/dpop web/clientcert web/weburl jose/leeway"), words("golang.org/x/net")},
	{4, "domain/opaque", words("jose/token jose/keyring domain/revocation web/egress"), words("golang.org/x/crypto")},
	{4, "jose/token/tokentest", words("jose/token jose/keyring"), nil}, // test support, as below
	{4, "jose/dpop/dpoptest", nil, words(jwxPath)},                     // test support, too
	{4, "domain/identity", words("jose/token"),
		words("golang.org/x/crypto golang.org/x/sync golang.org/x/text github.com/alexedwards/argon2id")},
	{3, "jose/token", words("jose/keyring domain/revocation jose/leeway"),
		words(jwxPath, "github.com/go-json-experiment/json github.com/maypok86/otter/v2")},
	{3, "jose/dpop", words("jose/keyring"), words("github.com/go-json-experiment/json")},
	{3, "domain/device", words("domain/revocation domain/secrets domain/session"), nil},
	{3, "domain/authorization", words("domain/clients domain/revocation domain/session"),
		words("github.com/go-json-experiment/json")},
	{2, "domain/session", words("domain/revocation jose/leeway"), nil},
	{2, "jose/keyring", words("web/clientcert web/egress jose/leeway"), words(jwxPath, "filippo.io/age")},
	{2, "domain/apitoken", words("domain/project domain/secrets"), nil},
	{2, "domain/consent", words("domain/revocation"), nil},
	{2, "domain/clients", words("domain/project domain/secrets web/weburl"), nil},
	{1, "domain/project", nil, nil},
	{1, "domain/audit", nil, nil},
	{1, "domain/replay", nil, nil},
	{1, "domain/backchannel", nil, nil},
	{1, "domain/revocation", words("jose/leeway"), nil},
	{1, "serve/ui", nil, nil},
	{1, "web/egress", words("web/weburl"), nil},
	{0, "module/connections", nil, words(caddyPath, "github.com/prometheus/client_golang")},
	{0, "module/request", nil, words(caddyPath)},
	{0, "module/finding", nil, nil},
	{0, "module/version", nil, words(caddyPath)},
	{0, "module/terminal", nil, nil},
	{0, "web/endpoint", nil, nil},
	{0, "web/clientcert", nil, nil},
	{0, "web/weburl", nil, nil},
	{0, "jose/leeway", nil, nil},
	{0, "domain/secrets", nil, nil},
	{0, "domain/openid", nil, nil},
	{0, "bench/cputime", nil, nil},                                 // test support
	{0, "integration/documents", nil, nil},                         // test support, as below
	{0, "integration/chromium", nil, words("github.com/chromedp")}, // test support, too
	// Test support, too. No row names it, so only test files may import it.
	{0, "store/sqlstore/pgtest", nil, words("github.com/jackc/pgx/v5")},
}

// words are the words of the lines.
func words(lines ...string) []string { return strings.Fields(strings.Join(lines, " ")) }

const (
	caddyPath = "github.com/caddyserver/caddy/v2"
	jwxPath   = "github.com/lestrrat-go/jwx/v2"
)

// testSupport is what test files may import in every package. They may also use every package on a
// lower layer, and its libraries, to make what they test with.
var testSupport = []string{caddyPath + "/caddytest", "golang.org/x/mod"}

// testPackages are packages of test support that test files may import from every layer. No row
// names one, so no other file may.
var testPackages = []string{"jose/token/tokentest", "jose/dpop/dpoptest"}

// keptApart are packages of the standard library that only the named packages may import: the
// database is for the store, the log for the Caddy layer (other packages return errors), and
// testing for test files.
var keptApart = []struct {
	apart  string
	owners []string
}{
	{"database/sql", []string{"store/sqlstore"}},
	{"log", []string{"module/auth", "bench/load", "bench/upstream"}},
	{"testing", words("store/sqlstore/pgtest jose/token/tokentest jose/dpop/dpoptest",
		"integration/documents integration/chromium")},
}

func TestArrowsRunDown(t *testing.T) {
	for i, r := range packageRules {
		for _, name := range r.inside {
			below := slices.IndexFunc(packageRules, func(other packageRule) bool { return other.path == name })
			if below <= i || packageRules[below].layer >= r.layer {
				t.Errorf("%s may import %s, which is not on a lower layer", r.path, name)
			}
		}
	}
}

func TestFloors(t *testing.T) {
	found, err := violations(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Error(v)
	}
}

// TestFloorsAreNoticed makes sure that TestFloors can fail.
func TestFloorsAreNoticed(t *testing.T) {
	for _, c := range []struct{ file, imports, want string }{
		{
			"caddyauth/guard/gate/x.go", caddyPath,
			"caddyauth/guard/gate/x.go imports " + caddyPath + ", which only integration, integration/clients, ",
		},
		{"caddyauth/jose/token/x.go", "go.uber.org/zap/zapcore",
			"which only module/jwtauth, module/verdict, module/auth may"},
		{"caddyauth/serve/login/x.go", "github.com/spf13/cobra", "which only module/command, module/explain may"},
		{
			"caddyauth/guard/gate/x.go", "github.com/prometheus/client_golang/prometheus",
			"which only module/auth, module/connections may",
		},
		{"caddyauth/domain/identity/x.go", "modernc.org/sqlite", "which only store/sqlstore may"},
		{"caddyauth/domain/identity/x.go", "database/sql/driver", "which only store/sqlstore may"},
		{"caddyauth/jose/keyring/x.go", "log/slog", "which only module/auth, bench/load, bench/upstream may"},
		{
			"caddyauth/serve/ui/x.go", "testing/iotest",
			"which only store/sqlstore/pgtest, jose/token/tokentest, jose/dpop/dpoptest, integration/documents, " +
				"integration/chromium may",
		},
		{
			"caddyauth/store/sqlstore/x.go", modulePath + "/caddyauth/store/sqlstore/pgtest",
			"store/sqlstore may import only ",
		},
		{"caddyauth/guard/gate/x.go", modulePath + "/caddyauth/jose/token/tokentest", "guard/gate may import only "},
		{
			"caddyauth/jose/keyring/x_test.go", "github.com/jackc/pgx/v5",
			"which only store/sqlstore, store/sqlstore/pgtest may",
		},
		{"caddyauth/guard/gate/x.go", "example.com/surprise", "which nobody may"},
		{"caddyauth/jose/token/x.go", modulePath + "/caddyauth/guard/gate", "jose/token may import only "},
		{"caddyauth/serve/login/x.go", modulePath + "/caddyauth/guard/gate", "serve/login may import only "},
		{"caddyauth/domain/project/x.go", modulePath + "/caddyauth/guard/gate", "may import nothing of this module"},
		{"caddyauth/jose/keyring/x.go", modulePath + "/caddyauth/util", "jose/keyring may import only "},
		{"caddyauth/guard/gate/x_test.go", modulePath + "/caddyauth/domain/identity", "guard/gate may import only "},
		{"caddyauth/guard/gate/x_test.go", caddyPath, "which only"},
		{"caddyauth/util/x.go", "strings", "caddyauth/util is not a package of the table"},
		{"x.go", "strings", "the top folder is not a package of the table"},
		{"cmd/other/x.go", "strings", "cmd/other is not a package of the table"},
	} {
		found, err := violations(fstest.MapFS{c.file: source(c.imports)})
		if err != nil || len(found) != 1 || !strings.Contains(found[0], c.want) {
			t.Errorf("%s importing %s: %q, %v; want %q", c.file, c.imports, found, err, c.want)
		}
	}
}

func TestFloorsAllow(t *testing.T) {
	for _, c := range []struct{ file, imports string }{
		{"caddyauth/guard/gate/x.go", modulePath + "/caddyauth/jose/token"},
		// a lower layer, to make tokens with
		{"caddyauth/guard/gate/x_test.go", modulePath + "/caddyauth/jose/keyring"},
		{"caddyauth/guard/gate/y_test.go", jwxPath + "/jws"},
		{"caddyauth/jose/token/y_test.go", modulePath + "/caddyauth/jose/token"}, // an external test of its own package
		{"caddyauth/serve/ui/x_test.go", "testing/fstest"},
		{"caddyauth/x_test.go", "golang.org/x/mod/modfile"},
		{"caddyauth/jose/keyring/x.go", jwxPath + "/jws"},
		{"caddyauth/jose/keyring/y.go", "logic"}, // no part of log
		{"caddyauth/serve/ui/testdata/x.go", "example.com/surprise"},
		{"caddyauth/store/sqlstore/x.go", "database/sql"},
		{"caddyauth/domain/session/x_test.go", modulePath + "/caddyauth/store/sqlstore/pgtest"},
		{"caddyauth/guard/gate/x_test.go", modulePath + "/caddyauth/jose/token/tokentest"},
		{"caddyauth/module/auth/x.go", "go.uber.org/zap"},
		{".hidden/x.go", "example.com/surprise"},
		{"caddyauth/domain/identity/_tool.go", "example.com/surprise"},
	} {
		t.Run(c.file, func(t *testing.T) {
			if found, err := violations(fstest.MapFS{c.file: source(c.imports)}); err != nil || len(found) > 0 {
				t.Errorf("%s importing %s: %q, %v", c.file, c.imports, found, err)
			}
		})
	}
}

// TestFloorsAreDocumented holds the table of docs/architecture.md against the rule.
func TestFloorsAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("| layer | package | may import inside | may import outside, besides the standard library |\n" +
		"| --- | --- | --- | --- |\n")
	for _, r := range packageRules {
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", r.layer, r.path, orDash(r.inside), orDash(r.outside))
	}
	documents.Compare(t, "docs/architecture.md", "layers", b.String())
}

func orDash(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

func source(imports string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("package x\n\nimport _ " + strconv.Quote(imports) + "\n")}
}

// violations lists every import of the tree that the rule does not allow, and every folder with Go
// files that it does not know.
func violations(tree fs.FS) ([]string, error) {
	var found []string
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name != "." &&
			(strings.HasPrefix(entry.Name(), ".") || strings.HasPrefix(entry.Name(), "_") ||
				entry.Name() == "testdata") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		bad, err := violationsIn(tree, name)
		found = append(found, bad...)
		return err
	})
	return found, err
}

func violationsIn(tree fs.FS, name string) ([]string, error) {
	r, ok := ruleOf(path.Dir(name))
	if !ok {
		return []string{
			name + ": " + strings.Replace(path.Dir(name), ".", "the top folder", 1) + " is not a package of the table",
		}, nil
	}
	data, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, data, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if word := r.refuses(imported, strings.HasSuffix(name, "_test.go")); word != "" {
			found = append(found, fmt.Sprintf("%s imports %s, %s", name, imported, word))
		}
	}
	return found, nil
}

// ruleOf finds the rule of a folder or of an import path's tail; packages beneath caddyauth are
// written without it.
func ruleOf(folder string) (packageRule, bool) {
	i := slices.IndexFunc(packageRules, func(r packageRule) bool {
		return r.path == folder || "caddyauth/"+r.path == folder
	})
	if i < 0 {
		return packageRule{}, false
	}
	return packageRules[i], true
}

// refuses says in words why r may not import the package; nothing when it may.
func (r packageRule) refuses(imported string, test bool) string {
	if tail, ok := strings.CutPrefix(imported, modulePath+"/"); ok {
		return r.refusesInside(tail, test)
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return r.refusesStandard(imported, test)
	}
	if beneathAny(imported, r.outside) || test && beneathAny(imported, testSupport) {
		return ""
	}
	var may []string
	for _, other := range packageRules {
		if !beneathAny(imported, other.outside) {
			continue
		}
		if test && 0 < other.layer && other.layer < r.layer {
			return ""
		}
		may = append(may, other.path)
	}
	return whoMay(may)
}

func (r packageRule) refusesInside(tail string, test bool) string {
	other, ok := ruleOf(tail)
	if ok && (slices.Contains(r.inside, other.path) || test &&
		(other.layer < r.layer || other.path == r.path || slices.Contains(testPackages, other.path))) {
		return ""
	}
	if len(r.inside) == 0 {
		return r.path + " may import nothing of this module"
	}
	return r.path + " may import only " + strings.Join(r.inside, ", ") + " of this module"
}

func (r packageRule) refusesStandard(imported string, test bool) string {
	for _, c := range keptApart {
		if !test && beneathAny(imported, []string{c.apart}) && !slices.Contains(c.owners, r.path) {
			return whoMay(c.owners)
		}
	}
	return ""
}

func whoMay(owners []string) string {
	if len(owners) == 0 {
		return "which nobody may"
	}
	return "which only " + strings.Join(owners, ", ") + " may"
}

func beneathAny(imported string, roots []string) bool {
	return slices.ContainsFunc(roots,
		func(root string) bool { return imported == root || strings.HasPrefix(imported, root+"/") })
}
