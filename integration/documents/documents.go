// Package documents compares the parts of the documentation that are rendered from the code with
// what the code says. Only tests import it.
package documents

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// Update is the flag -update of tests.
var Update = flag.Bool("update", false,
	"rewrite golden files, and the parts of the documentation that are rendered from the code")

// Root is the top folder of the checkout, as a path from the folder of the running test.
func Root(t testing.TB) string {
	t.Helper()
	for dir := "."; len(dir) < 64; dir = filepath.Join("..", dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("no folder above this one has a go.mod")
	return ""
}

// Read returns the text of a file, named by its path below the top folder.
func Read(t testing.TB, document string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(Root(t), filepath.FromSlash(document)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// All returns the text of every document of the checkout, by its path.
func All(t testing.TB) map[string]string {
	t.Helper()
	tree := os.DirFS(Root(t))
	found := make(map[string]string)
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "testdata" || entry.Name() == "node_modules"):
			return fs.SkipDir
		case !entry.IsDir() && filepath.Ext(name) == ".md":
			found[name] = Read(t, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Compare fails when the part of a document between <!-- name --> and <!-- /name --> is not want.
// With -update it writes want there.
func Compare(t testing.TB, document, name, want string) {
	t.Helper()
	opening, closing := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	head, rest, opened := strings.Cut(Read(t, document), opening)
	have, tail, closed := strings.Cut(rest, closing)
	if !opened || !closed {
		t.Fatalf("%s has no part <!-- %s --> ... <!-- /%s -->", document, name, name)
	}
	if have == want {
		return
	}
	if *Update {
		file := filepath.Join(Root(t), filepath.FromSlash(document))
		if err := os.WriteFile(file, []byte(head+opening+want+closing+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s: the part %q is not what the code says; this test with -update rewrites it.\n%s",
		document, name, firstDifference(have, want))
}

// Anchor is the fragment that GitHub gives to a heading: lower case, spaces as hyphens, without
// punctuation.
func Anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

func firstDifference(have, want string) string {
	haves, wants := strings.Split(have, "\n"), strings.Split(want, "\n")
	for i, line := range wants {
		if i >= len(haves) || haves[i] != line {
			return "first missing line: " + line
		}
	}
	return "first line too many: " + slices.Concat(haves, []string{""})[len(wants)]
}
