package session

import (
	"fmt"
	"strings"
	"testing"
)

func someGrant() Grant {
	return Grant{ID: "FAMILY-of_26-characters-00", Seed: []byte("seed of the family")}
}

// TestFamiliesAreMarked: whoever makes up a family, or changes one, makes one without a mark.
func TestFamiliesAreMarked(t *testing.T) {
	tokens := Tokens{
		Secrets: []Secret{
			{ID: "2", Key: []byte("the second key of these tests")},
			{ID: "1", Key: []byte("the first key of these tests")},
		},
	}
	old, other := Tokens{
		Secrets: tokens.Secrets[1:],
	}, Tokens{
		Secrets: []Secret{{ID: "1", Key: []byte("the key of somebody else")}},
	}
	family := tokens.NewFamily()
	if !isFamily(family) || family == tokens.NewFamily() {
		t.Errorf("%q", family)
	}
	for _, c := range []struct {
		name, family string
		want         bool
	}{
		{"made with the first secret", family, true},
		{"made with the one before", old.NewFamily(), true},
		{"made with another", other.NewFamily(), false},
		{"changed in the random part", map[bool]string{true: "B", false: "A"}[family[0] == 'A'] + family[1:], false},
		{"changed in the mark", family[:38] + map[bool]string{true: "B", false: "A"}[family[38] == 'A'], false},
		{"shorter", family[:38], false}, {"longer", family + "A", false}, {"empty", "", false},
		{"from before there were marks", family[:26], false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := tokens.Marked(c.family); got != c.want {
				t.Errorf("%q: %v", c.family, got)
			}
		})
	}
}

func TestTokenIsReadBack(t *testing.T) {
	for _, id := range []string{
		"1", "2026-key_A", "with.dot", "with space;", "", "~tilde", "ключ", strings.Repeat("x", 255),
	} {
		tokens := Tokens{Secrets: []Secret{secret(id, 7)}}
		for _, generation := range []int64{0, 1, 9, 10, 123456789} {
			text := tokens.Make(someGrant(), generation)
			r, ok := ReadToken(text)
			if !ok || r.Family != someGrant().ID || r.Generation != generation || r.SecretID != id {
				t.Fatalf("%q was read as %v, %v", text, r, ok)
			}
			if !tokens.Verify(r, someGrant()) {
				t.Errorf("%q does not verify", text)
			}
			if strings.ContainsAny(text, " ;,\"\\=/+") {
				t.Errorf("%q is not fit for a cookie or a form", text)
			}
		}
	}
}

func TestOnlyTheExactTokenVerifies(t *testing.T) {
	tokens := Tokens{Secrets: []Secret{secret("k1", 1)}}
	text := tokens.Make(someGrant(), 5)
	r, _ := ReadToken(text)
	otherFamily, otherSeed, nextGeneration, otherID := someGrant(), someGrant(), r, r
	otherFamily.ID = "FAMILY-of_26-characters-01"
	otherSeed.Seed = []byte("seed of the famil")
	nextGeneration.Generation++
	otherID.SecretID = "k2"
	for _, c := range []struct {
		name string
		ok   bool
	}{
		{"another family's row", tokens.Verify(r, otherFamily)},
		{"another seed", tokens.Verify(r, otherSeed)},
		{"another generation", tokens.Verify(nextGeneration, someGrant())},
		{"an unknown secret", tokens.Verify(otherID, someGrant())},
		{"another secret of the same name", Tokens{Secrets: []Secret{secret("k1", 2)}}.Verify(r, someGrant())},
		{"no secret", Tokens{}.Verify(r, someGrant())},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.ok {
				t.Errorf("verified with %s", c.name)
			}
		})
	}
	for i := range text {
		for _, c := range []byte("A0_.~") {
			changed := text[:i] + string(c) + text[i+1:]
			if changed == text {
				continue
			}
			if r, ok := ReadToken(changed); ok && tokens.Verify(r, someGrant()) {
				t.Errorf("%q verifies as well as %q", changed, text)
			}
		}
	}
}

func TestSecretsRotate(t *testing.T) {
	before := Tokens{Secrets: []Secret{secret("old", 1)}}
	during := Tokens{Secrets: []Secret{secret("new", 2), secret("old", 1)}}
	after := Tokens{Secrets: []Secret{secret("new", 2)}}
	old, _ := ReadToken(before.Make(someGrant(), 3))
	fresh, _ := ReadToken(during.Make(someGrant(), 3))
	if fresh.SecretID != "new" || !during.Verify(old, someGrant()) || !during.Verify(fresh, someGrant()) {
		t.Error("with both secrets, the first makes and both verify")
	}
	if after.Verify(old, someGrant()) || !after.Verify(fresh, someGrant()) {
		t.Error("a secret that is gone still verifies, or the new one does not")
	}
}

func TestStrictSpelling(t *testing.T) {
	good := Tokens{Secrets: []Secret{secret("k1", 1)}}.Make(someGrant(), 7)
	head, mac, _ := strings.Cut(good, ".7.")
	for _, c := range []struct{ name, text string }{
		{"empty", ""},
		{"prefix alone", "rt_"},
		{"another prefix", "RT_" + good[3:]},
		{"no prefix", good[3:]},
		{"leading zero", head + ".07." + mac},
		{"plus", head + ".+7." + mac},
		{"negative", head + ".-7." + mac},
		{"hexadecimal", head + ".0x7." + mac},
		{"no generation", head + ".." + mac},
		{"huge generation", head + ".9999999999999999." + mac},
		{"trailing newline", good + "\n"},
		{"newline in the mac", good[:len(good)-1] + "\n"},
		{"leading space", " " + good},
		{"padding", good + "="},
		{"one more part", good + ".x"},
		{"one part less", head + "." + mac},
		{"short mac", good[:len(good)-1]},
		{"stray bits", strays(good)},
		{"standard alphabet", head + ".7." + strings.Repeat("+", 43)},
		{"empty family", "rt_k1..7." + mac},
		{"long family", "rt_k1." + strings.Repeat("F", 65) + ".7." + mac},
		{"family with a slash", "rt_k1.FAM/ILY.7." + mac},
		{"empty secret id", "rt_." + someGrant().ID + ".7." + mac},
		{"needless encoding", "rt_~azE." + someGrant().ID + ".7." + mac},
		{"secret id with space", "rt_k 1." + someGrant().ID + ".7." + mac},
		{"long", "rt_" + strings.Repeat("k", 500) + "." + someGrant().ID + ".7." + mac},
		{"a megabyte of dots", "rt_" + strings.Repeat(".", 1<<20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, ok := ReadToken(c.text); ok {
				t.Errorf("%s was read", c.name)
			}
		})
	}
}

// strays sets a bit of the last character which says nothing.
func strays(token string) string {
	last := token[len(token)-1]
	i := strings.IndexByte(urlSafeOrder, last)
	return token[:len(token)-1] + urlSafeOrder[i|1:i|1+1]
}

const urlSafeOrder = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func TestSecretsAreNotPrinted(t *testing.T) {
	key := "canarycanarycanarycanarycanarycan"
	s := Secret{ID: "k1", Key: []byte(key)}
	tokens := Tokens{Secrets: []Secret{s}}
	text := tokens.Make(someGrant(), 7)
	r, _ := ReadToken(text)
	mac := text[strings.LastIndexByte(text, '.')+1:]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{s, &s, tokens, &tokens, r, &r, struct{ T Tokens }{tokens}} {
			if out := fmt.Sprintf(verb, v); strings.Contains(out, "canary") || strings.Contains(out, mac) ||
				strings.Contains(out, "63616e617279") {
				t.Errorf("%s of %T prints %q", verb, v, out)
			}
		}
	}
}

func FuzzReadToken(f *testing.F) {
	tokens := Tokens{Secrets: []Secret{secret("k1", 1), secret("a b", 2)}}
	f.Add(tokens.Make(someGrant(), 0))
	f.Add(Tokens{Secrets: tokens.Secrets[1:]}.Make(someGrant(), 99))
	f.Add("rt_~.F.0." + strings.Repeat("A", 43))
	f.Add("rt_k1.F.00." + strings.Repeat("A", 43))
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := ReadToken(text)
		if !ok {
			return
		}
		written := tokenPrefix + writeID(
			r.SecretID,
		) + "." + r.Family + "." + fmt.Sprint(
			r.Generation,
		) + "." + base64URL.EncodeToString(
			r.mac[:],
		)
		if written != text {
			t.Errorf("%q was read as %q", text, written)
		}
		g := someGrant()
		if tokens.Verify(r, g) && text != (Tokens{Secrets: tokens.Secrets}).remake(r, g) {
			t.Errorf("%q verifies", text)
		}
	})
}

// remake is the token that r must be to verify.
func (t Tokens) remake(r Reference, g Grant) string {
	for _, s := range t.Secrets {
		if s.ID == r.SecretID {
			return Tokens{Secrets: []Secret{s}}.Make(g, r.Generation)
		}
	}
	return ""
}

func BenchmarkReadAndVerify(b *testing.B) {
	tokens := Tokens{Secrets: []Secret{secret("k1", 1)}}
	g := someGrant()
	text := tokens.Make(g, 12)
	b.ReportAllocs()
	for b.Loop() {
		if r, ok := ReadToken(text); !ok || !tokens.Verify(r, g) {
			b.Fatal("refused")
		}
	}
}
