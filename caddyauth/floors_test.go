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
)

const modulePath = "github.com/caddyauth/gateway"

// room is one package of the house: what it may import besides the standard library.
type room struct {
	floor   int
	path    string
	inside  []string // other rooms
	outside []string // packages of other modules, each with all beneath it
}

// rooms is the rule. A new arrow goes in here, with a sentence in docs/architecture.md; arrows run down only.
var rooms = []room{
	{7, "integration", []string{"caddyauth"}, []string{caddyPath, "github.com/chromedp", "golang.org/x/crypto", "golang.org/x/net"}},
	{7, "bench/fill", []string{"sqlstore", "session"}, nil},
	{7, "bench/load", nil, nil},
	{7, "bench/mint", []string{"token", "keyring"}, nil},
	{7, "bench/upstream", nil, nil},
	{6, "cmd/caddy", []string{"caddyauth"}, []string{caddyPath + "/cmd", caddyPath + "/modules/standard"}},
	{5, "caddyauth", []string{"sqlstore", "login", "manage", "oauth", "gate", "identity", "token", "keyring", "project", "session", "ui", "web/weburl", "leeway"},
		[]string{caddyPath, "go.uber.org/zap", "github.com/prometheus/client_golang", "github.com/spf13/cobra", "github.com/spf13/pflag",
			"github.com/mileusna/useragent", "golang.org/x/sync", "golang.org/x/term"}},
	{4, "sqlstore", []string{"keyring", "project", "identity", "session", "oauth"}, []string{"modernc.org/sqlite", "github.com/jackc/pgx/v5"}},
	{4, "login", []string{"identity", "session", "project", "ui"}, nil},
	{4, "manage", []string{"identity", "session", "project", "ui"}, nil},
	{3, "oauth", []string{"token", "project", "session", "keyring", "ui", "web/weburl"}, nil},
	{3, "gate", []string{"token", "session", "web/weburl", "leeway"}, nil},
	{3, "identity", []string{"token", "keyring"}, []string{"golang.org/x/crypto", "golang.org/x/sync", "golang.org/x/text", "github.com/alexedwards/argon2id"}},
	{2, "token", []string{"keyring", "leeway"}, []string{jwxPath, "github.com/go-json-experiment/json", "github.com/maypok86/otter/v2"}},
	{1, "keyring", []string{"web/weburl", "leeway"}, []string{jwxPath, "filippo.io/age"}},
	{1, "project", nil, nil},
	{1, "session", []string{"leeway"}, nil},
	{1, "ui", nil, nil},
	{0, "web/weburl", nil, nil},
	{0, "leeway", nil, nil},
	{0, "sqlstore/pgtest", nil, []string{"github.com/jackc/pgx/v5"}}, // test support: no row names it, so only test files may import it
}

const (
	caddyPath = "github.com/caddyserver/caddy/v2"
	jwxPath   = "github.com/lestrrat-go/jwx/v2"
)

// testSupport is what test files may import in every room. They may also use every room on a lower floor, and its libraries, to make
// what they test with.
var testSupport = []string{caddyPath + "/caddytest", "golang.org/x/mod"}

// keptApart are packages of the standard library that belong to the named rooms: the database to the store, the log to whoever
// reports (rooms return errors), testing to nobody's product code.
var keptApart = map[string][]string{
	"database/sql": {"sqlstore"},
	"log":          {"caddyauth", "bench/load", "bench/upstream"},
	"testing":      {"sqlstore/pgtest"},
}

func TestArrowsRunDown(t *testing.T) {
	for i, r := range rooms {
		for _, name := range r.inside {
			below := slices.IndexFunc(rooms, func(other room) bool { return other.path == name })
			if below <= i || rooms[below].floor >= r.floor {
				t.Errorf("%s may import %s, which is not on a lower floor", r.path, name)
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
		{"caddyauth/gate/x.go", caddyPath, "caddyauth/gate/x.go imports " + caddyPath + ", which only integration, caddyauth may"},
		{"caddyauth/token/x.go", "go.uber.org/zap/zapcore", "which only caddyauth may"},
		{"caddyauth/login/x.go", "github.com/spf13/cobra", "which only caddyauth may"},
		{"caddyauth/gate/x.go", "github.com/prometheus/client_golang/prometheus", "which only caddyauth may"},
		{"caddyauth/identity/x.go", "modernc.org/sqlite", "which only sqlstore may"},
		{"caddyauth/identity/x.go", "database/sql/driver", "which only sqlstore may"},
		{"caddyauth/keyring/x.go", "log/slog", "which only caddyauth, bench/load, bench/upstream may"},
		{"caddyauth/ui/x.go", "testing/iotest", "which only sqlstore/pgtest may"},
		{"caddyauth/sqlstore/x.go", modulePath + "/caddyauth/sqlstore/pgtest", "may import only keyring, project, identity, session, oauth of this module"},
		{"caddyauth/keyring/x_test.go", "github.com/jackc/pgx/v5", "which only sqlstore, sqlstore/pgtest may"},
		{"caddyauth/gate/x.go", "example.com/surprise", "which nobody may"},
		{"caddyauth/token/x.go", modulePath + "/caddyauth/gate", "may import only keyring, leeway of this module"},
		{"caddyauth/login/x.go", modulePath + "/caddyauth/gate", "may import only identity, session, project, ui of this module"},
		{"caddyauth/project/x.go", modulePath + "/caddyauth/gate", "may import nothing of this module"},
		{"caddyauth/keyring/x.go", modulePath + "/caddyauth/util", "may import only web/weburl, leeway of this module"},
		{"caddyauth/gate/x_test.go", modulePath + "/caddyauth/identity", "may import only token, session, web/weburl, leeway of this module"},
		{"caddyauth/gate/x_test.go", caddyPath, "which only"},
		{"caddyauth/util/x.go", "strings", "caddyauth/util is no room of the table"},
		{"x.go", "strings", "the top folder is no room of the table"},
		{"cmd/other/x.go", "strings", "cmd/other is no room of the table"},
	} {
		found, err := violations(fstest.MapFS{c.file: source(c.imports)})
		if err != nil || len(found) != 1 || !strings.Contains(found[0], c.want) {
			t.Errorf("%s importing %s: %q, %v; want %q", c.file, c.imports, found, err, c.want)
		}
	}
}

func TestFloorsAllow(t *testing.T) {
	for file, imports := range map[string]string{
		"caddyauth/gate/x.go":         modulePath + "/caddyauth/token",
		"caddyauth/gate/x_test.go":    modulePath + "/caddyauth/keyring", // a lower floor, to make tokens with
		"caddyauth/gate/y_test.go":    jwxPath + "/jws",
		"caddyauth/token/y_test.go":   modulePath + "/caddyauth/token", // an external test of its own room
		"caddyauth/ui/x_test.go":      "testing/fstest",
		"caddyauth/x_test.go":         "golang.org/x/mod/modfile",
		"caddyauth/keyring/x.go":      jwxPath + "/jws",
		"caddyauth/keyring/y.go":      "logic", // no part of log
		"caddyauth/ui/testdata/x.go":  "example.com/surprise",
		"caddyauth/sqlstore/x.go":     "database/sql",
		"caddyauth/session/x_test.go": modulePath + "/caddyauth/sqlstore/pgtest",
		"caddyauth/x.go":              "go.uber.org/zap",
		".hidden/x.go":                "example.com/surprise",
		"caddyauth/identity/_tool.go": "example.com/surprise",
	} {
		if found, err := violations(fstest.MapFS{file: source(imports)}); err != nil || len(found) > 0 {
			t.Errorf("%s importing %s: %q, %v", file, imports, found, err)
		}
	}
}

// TestFloorsAreDocumented holds the table of docs/architecture.md against the rule.
func TestFloorsAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("| floor | room | may import inside | may import outside, besides the standard library |\n| --- | --- | --- | --- |\n")
	for _, r := range rooms {
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", r.floor, r.path, orDash(r.inside), orDash(r.outside))
	}
	compareDocument(t, "docs/architecture.md", "floors", b.String())
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

// violations lists every import of the tree that the rule does not allow, and every folder with Go files that it does not know.
func violations(tree fs.FS) ([]string, error) {
	var found []string
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name != "." && (strings.HasPrefix(entry.Name(), ".") || strings.HasPrefix(entry.Name(), "_") || entry.Name() == "testdata") {
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
	r, ok := roomOf(path.Dir(name))
	if !ok {
		return []string{name + ": " + strings.Replace(path.Dir(name), ".", "the top folder", 1) + " is no room of the table"}, nil
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

// roomOf finds the room of a folder or of an import path's tail; rooms beneath caddyauth are written without it.
func roomOf(folder string) (room, bool) {
	i := slices.IndexFunc(rooms, func(r room) bool { return r.path == folder || "caddyauth/"+r.path == folder })
	if i < 0 {
		return room{}, false
	}
	return rooms[i], true
}

// refuses says in words why r may not import the package; nothing when it may.
func (r room) refuses(imported string, test bool) string {
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
	for _, other := range rooms {
		if !beneathAny(imported, other.outside) {
			continue
		}
		if test && 0 < other.floor && other.floor < r.floor {
			return ""
		}
		may = append(may, other.path)
	}
	return whoMay(may)
}

func (r room) refusesInside(tail string, test bool) string {
	other, ok := roomOf(tail)
	if ok && (slices.Contains(r.inside, other.path) || test && (other.floor < r.floor || other.path == r.path)) {
		return ""
	}
	if len(r.inside) == 0 {
		return r.path + " may import nothing of this module"
	}
	return r.path + " may import only " + strings.Join(r.inside, ", ") + " of this module"
}

func (r room) refusesStandard(imported string, test bool) string {
	for apart, owners := range keptApart {
		if !test && beneathAny(imported, []string{apart}) && !slices.Contains(owners, r.path) {
			return whoMay(owners)
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
	return slices.ContainsFunc(roots, func(root string) bool { return imported == root || strings.HasPrefix(imported, root+"/") })
}
