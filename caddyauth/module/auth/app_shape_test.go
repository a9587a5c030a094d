package auth

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/module/config"
)

// What App may have. Both numbers only go down.
const (
	appFields  = 12
	appMethods = 27
)

// exportedMethods is what other packages may ask of App.
var exportedMethods = []string{
	// Caddy's
	"CaddyModule", "Cleanup", "Provision", "Start", "Stop",
	// for the handlers and adminapi
	"Endpoints", "Gates", "Management", "Ready", "Server", "Services", "Verification",
	// for command and explain
	"Findings", "OpenForReading", "Read",
}

// TestAppStaysSmall holds what other packages may ask of App, and how much it holds and does: it is
// the life of a configuration. What belongs together goes into a type of its own, as Gates, Keys and
// Verification do, which a literal in build.go makes.
func TestAppStaysSmall(t *testing.T) {
	if n := reflect.TypeFor[App]().NumField(); n > appFields {
		t.Errorf("App has %d fields, at most %d are wanted", n, appFields)
	}
	if methods := methodsOfApp(t); len(methods) > appMethods {
		t.Errorf("App has %d methods, at most %d are wanted: %q", len(methods), appMethods, methods)
	}
	want := slices.Sorted(slices.Values(exportedMethods))
	settings := reflect.TypeFor[*struct{ config.Settings }]()
	var got []string
	for method := range reflect.TypeFor[*App]().Methods() {
		if _, promoted := settings.MethodByName(method.Name); !promoted {
			got = append(got, method.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("App's exported methods are\n%q, want\n%q", got, want)
	}
}

// TestCompositionRootOnlyComposes: a function of build.go and its siblings is named build..., and
// decides nothing.
func TestCompositionRootOnlyComposes(t *testing.T) {
	for _, file := range parsedFiles(t, "build*.go") {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				t.Run(f.Name.Name, func(t *testing.T) { composes(t, f) })
			}
		}
	}
}

func composes(t *testing.T, f *ast.FuncDecl) {
	if !strings.HasPrefix(f.Name.Name, "build") || f.Recv != nil {
		t.Error("it is not a function build...")
	}
	for _, statement := range f.Body.List {
		switch statement.(type) {
		case *ast.IfStmt, *ast.SwitchStmt, *ast.ForStmt, *ast.RangeStmt:
			t.Errorf("it decides something: %T", statement)
		}
	}
}

// methodsOfApp lists the methods of App in this folder, those of test files not counted.
func methodsOfApp(t *testing.T) (names []string) {
	t.Helper()
	for _, file := range parsedFiles(t, "*.go") {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			of := f.Recv.List[0].Type
			if star, ok := of.(*ast.StarExpr); ok {
				of = star.X
			}
			if name, ok := of.(*ast.Ident); ok && name.Name == "App" {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

func parsedFiles(t *testing.T, pattern string) (files []*ast.File) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}
