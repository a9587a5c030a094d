package sqlstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSpellingsOfOneFileAreOne(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	want := "sqlite://" + slashed(filepath.Join(dir, "auth.db"))
	for _, raw := range []string{
		"auth.db", "./x/../auth.db", filepath.Join(dir, "auth.db"), dir + "//auth.db", "sqlite:auth.db",
		"SQLite:auth.db", "sqlite:" + dir + "/auth.db", "sqlite://" + dir + "/auth.db",
		"sqlite://" + dir + "/%61uth.db",
	} {
		got, err := Canonical(raw)
		if err != nil || got != want {
			t.Errorf("Canonical(%q) = %q, %v; want %q", raw, got, err, want)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("something was created: %v, %v", entries, err)
	}
}

func TestCanonicalIsStable(t *testing.T) {
	for _, raw := range []string{"/a b/ü%25?#.db", "/data/100%.db", "/data/a:b.db", "/data/%2e%2e"} {
		once, err := Canonical(raw)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := Canonical(once)
		if err != nil || once != twice {
			t.Errorf("%q became %q, then %q (%v)", raw, once, twice, err)
		}
		s, err := New(once)
		if err != nil || s.source.(*sqliteFile).path != raw {
			t.Errorf("the path of %q is %q, %v; want %q", once, s.source.(*sqliteFile).path, err, raw)
		}
	}
}

func TestUnusableURLsAreRefusedWithWords(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"", "empty"},
		{"sqlite:", "empty"},
		{"sqlite://", "host"},
		{"sqlite://auth.db", "host"},
		{"sqlite:///data/auth.db?mode=memory", "neither options"},
		{"sqlite:///data/auth.db#x", "neither options"},
		{"sqlite:///data/%zz", "percent escape"},
		{"sqlite:///data/%00", "NUL"},
		{"/data/", "folder"},
		{":memory:", "in memory"},
		{"sqlite::memory:", "in memory"},
		{"mysql://auth:hunter2@db/auth", `unknown scheme "mysql:"`},
	} {
		t.Run(c.raw, func(t *testing.T) {
			_, newErr := New(c.raw)
			_, err := Canonical(c.raw)
			if err == nil || newErr == nil || err.Error() != newErr.Error() || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: %v and %v; want %q", c.raw, err, newErr, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || !strings.HasPrefix(err.Error(), "store: ")) {
				t.Errorf("%q: %v", c.raw, err)
			}
		})
	}
}
