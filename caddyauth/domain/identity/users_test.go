package identity

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestCanonicalNames(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"alice", "alice"},
		{"ALICE", "alice"},
		{"Ａｌｉｃｅ", "alice"},
		{"a.lice@example.io", "a.lice@example.io"},
		{"jose\u0301", "jos\u00e9"},
		{"JOS\u00c9", "jos\u00e9"},
		{"Ωmega", "ωmega"},
		{"名前", "名前"},
	} {
		t.Run(c.in, func(t *testing.T) {
			if got, err := CanonicalName(c.in); err != nil || got != c.want {
				t.Errorf("%q: %q, %v; want %q", c.in, got, err, c.want)
			}
		})
	}
}

func TestTextsThatAreNoNames(t *testing.T) {
	for _, in := range []string{
		"", " ", "a b", " alice", "alice\n", "a\x00b", "\xff", "a\tb", "a\u200bb", "\u202ealice",
		"\u05d0a\u05d0b", strings.Repeat("a", maxName+1), strings.Repeat("\u0130", 100), strings.Repeat("a", 1<<20),
	} {
		if got, err := CanonicalName(in); !errors.Is(err, ErrBadName) {
			t.Errorf("%.40q became %.40q, %v", in, got, err)
		}
	}
}

func FuzzCanonicalNameIsStable(f *testing.F) {
	for _, s := range []string{"alice", "ALICE", "Ａｌｉｃｅ", "jose\u0301", "\u0130", "ǅ", "\u1e9e", "ﬁ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := CanonicalName(s)
		if err != nil {
			return
		}
		if twice, err := CanonicalName(once); err != nil || twice != once {
			t.Errorf("%q: %q, then %q, %v", s, once, twice, err)
		}
	})
}

func TestDeclaredUsersAreFoundInTheirProjectBySpelling(t *testing.T) {
	d, err := NewDeclared([]User{
		{Name: "Alice", Project: "default", Claims: map[string]any{"role": "admin"}},
		{Name: "alice", Project: "acme"},
		{Name: "bob", Project: "default", Disabled: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ project, name, want string }{
		{"default", "alice", "Alice"},
		{"default", "ALICE", "Alice"},
		{"default", "Ａｌｉｃｅ", "Alice"},
		{"acme", "Alice", "alice"},
		{"default", "bob", "bob"},
		{"other", "alice", ""},
		{"default", "alice ", ""},
		{"default", "", ""},
		{"", "alice", ""},
	} {
		u, err := d.FindUser(t.Context(), c.project, c.name)
		if c.want == "" {
			if !errors.Is(err, ErrNoUser) || u != nil {
				t.Errorf("%+v: %v, %v", c, u, err)
			}
			continue
		}
		if err != nil || u.Name != c.want || u.Project != c.project {
			t.Errorf("%+v: %v, %v", c, u, err)
		}
	}
}

func TestDeclarationsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		want  string
		users []User
	}{
		{
			`user "ALICE": the name is taken by user "alice" of project "p"`,
			[]User{{Name: "alice", Project: "p"}, {Name: "ALICE", Project: "p"}},
		},
		{`user "a b": not a valid account name`, []User{{Name: "a b", Project: "p"}}},
		{`user "": not a valid account name`, []User{{Project: "p"}}},
		{`user "eve": password hash: neither`, []User{{Name: "eve", Project: "p", PasswordHash: "hunter2"}}},
		{
			`user "mal": password hash: argon2id memory (m, KiB) is 9000000`,
			[]User{{Name: "mal", Project: "p", PasswordHash: argonText("m=9000000,t=1,p=1")}},
		},
	} {
		t.Run(c.want, func(t *testing.T) {
			_, err := NewDeclared(c.users)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows what stood in the place of a hash: %v", err)
			}
		})
	}
}

func TestDeclaredKindsAreThoseOfTheUsers(t *testing.T) {
	d, err := NewDeclared([]User{
		{Name: "a", PasswordHash: bcryptHash(t, "x")}, {Name: "b"}, {Name: "c", PasswordHash: argonHash(t, "x")},
		{Name: "d", PasswordHash: bcryptHash(t, "y")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.HashKinds(); !slices.Equal(got, []string{"$2a$04$", "$argon2id$v=19$m=64,t=1,p=1$"}) {
		t.Errorf("%q", got)
	}
}
