package caddyauth

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// manifest is xcaddy.json: what a build of Caddy with this plugin needs to know.
type manifest struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description"`
	License     string `json:"license"`
	GoModule    string `json:"go_module"`
	Package     string `json:"package"`
	Go          string `json:"go"`
	Caddy       struct {
		GoModule string `json:"go_module"`
		Version  string `json:"version"`
	} `json:"caddy"`
	Modules       []string `json:"modules"`
	Directives    []string `json:"directives"`
	GlobalOptions []string `json:"global_options"`
}

func readManifest(t *testing.T) manifest {
	data, err := os.ReadFile("../xcaddy.json")
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var m manifest
	if err := d.Decode(&m); err != nil {
		t.Fatalf("xcaddy.json: %v", err)
	}
	return m
}

func TestManifestIsComplete(t *testing.T) {
	m := readManifest(t)
	if m.Name == "" || m.Description == "" || !semver.IsValid("v"+m.Version) {
		t.Errorf("name %q, description %q and version %q must all say something", m.Name, m.Description, m.Version)
	}
	license, err := os.ReadFile("../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	if m.License != "Apache-2.0" ||
		!strings.Contains(string(license), "Apache License\n                           Version 2.0") {
		t.Errorf("the manifest says %q, which LICENSE is not", m.License)
	}
}

func TestManifestAgreesWithGoMod(t *testing.T) {
	m := readManifest(t)
	data, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.GoModule != mod.Module.Mod.Path || m.Package != mod.Module.Mod.Path+"/caddyauth" {
		t.Errorf("go_module %q, package %q; go.mod says %q", m.GoModule, m.Package, mod.Module.Mod.Path)
	}
	if m.Go != mod.Go.Version {
		t.Errorf("go %q; go.mod says %q", m.Go, mod.Go.Version)
	}
	i := slices.IndexFunc(mod.Require, func(r *modfile.Require) bool { return r.Mod.Path == m.Caddy.GoModule })
	if i < 0 || mod.Require[i].Mod.Version != m.Caddy.Version || mod.Require[i].Indirect {
		t.Errorf("go.mod does not require %s %s", m.Caddy.GoModule, m.Caddy.Version)
	}
}

// TestManifestNamesTheModules compares with Caddy's registry, in which this package has registered
// what it has.
func TestManifestNamesTheModules(t *testing.T) {
	var registered []string
	for _, id := range caddy.Modules() {
		info, err := caddy.GetModule(id)
		if err != nil {
			t.Fatal(err)
		}
		if module := reflect.Indirect(reflect.ValueOf(info.New())); strings.HasPrefix(module.Type().PkgPath(),
			modulePath) {
			registered = append(registered, id)
		}
	}
	slices.Sort(registered)
	if m := readManifest(t); !slices.Equal(m.Modules, registered) {
		t.Errorf("the manifest names %q, registered are %q", m.Modules, registered)
	}
}

func TestManifestNamesTheDirectives(t *testing.T) {
	m := readManifest(t)
	if got := registrations(t, "RegisterDirective", "RegisterHandlerDirective"); !slices.Equal(m.Directives, got) {
		t.Errorf("the manifest names the directives %q, registered are %q", m.Directives, got)
	}
	if got := registrations(t, "RegisterGlobalOption"); !slices.Equal(m.GlobalOptions, got) {
		t.Errorf("the manifest names the global options %q, registered are %q", m.GlobalOptions, got)
	}
}

// registrations lists what the module packages give to httpcaddyfile's functions, which keep it to
// themselves.
func registrations(t *testing.T, functions ...string) []string {
	files, err := filepath.Glob("module/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(functions, f.Sel.Name) {
				word, err := strconv.Unquote(call.Args[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, word)
			}
			return true
		})
	}
	slices.Sort(names)
	return names
}

// TestDirectivesHaveAnOrder adapts a Caddyfile without an `order` line in which everything stands
// the wrong way round: the server's own routes must come before the gate, and the gate before
// whatever answers.
func TestDirectivesHaveAnOrder(t *testing.T) {
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(`{
	auth {
		issuer https://app.example.com
	}
}
app.example.com {
	respond "hello"
	handle /else {
		respond "else"
	}
	request_header X-Later yes
	jwt_auth web
	auth_server
	rewrite /old /new
}
`), map[string]any{"filename": "Caddyfile"})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	last := -1
	for _, word := range []string{`"rewrite"`, `"auth_server"`, `"jwt_auth"`, `"X-Later"`, `"else"`, `"hello"`} {
		at := strings.Index(string(adapted), word)
		if at <= last {
			t.Errorf("%s is missing or too early in %s", word, adapted)
		}
		last = at
	}
}
