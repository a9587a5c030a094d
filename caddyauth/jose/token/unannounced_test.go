package token

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// TestClaimsAreTheSameWhetherKeptOrRead asks every claim of one token that keeps all, one that
// keeps some, and one that keeps none.
func TestClaimsAreTheSameWhetherKeptOrRead(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	raw := sign(t, key, headerOf(key),
		strings.Replace(richClaims, "{", `{"epoch":7,"scp":["z"],"p.q":{"c":{"d":[1,"x",{"y":null}]}},`, 1))
	_, all, err := Inspect(raw)
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{
		"absent", "absent.too", "a.c", "p.q.c", "p.q.c.d", "p.q.c.e", "realm_access.roles", "realm_access.deep.er",
		"https://x.example/app.tier.level",
	}
	for name := range all {
		paths = append(paths, name)
	}
	verifiers := map[string]*Verifier{
		"none": ownVerifier(t, key),
		"some": ownVerifier(t, key),
		"all":  ownVerifier(t, key),
	}
	verifiers["some"].Keep("p.q.c.d", "role", "absent")
	verifiers["all"].Keep(paths...)
	want, err := verifiers["all"].Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range verifiers {
		tok, err := v.Verify(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time from what is remembered
			for _, path := range paths {
				value, ok := tok.Claim(path)
				if wanted, there := want.Claim(path); ok != there || !reflect.DeepEqual(value, wanted) {
					t.Errorf("%s kept: %s is %v, %v; want %v, %v", name, path, value, ok, wanted, there)
				}
			}
		}
	}
	if got := len(verifiers["none"].kept); got != 0 {
		t.Errorf("%d claims kept that nobody announced", got)
	}
}

func TestOnlyAnnouncedClaimsStay(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	v := ownVerifier(t, key)
	v.Keep("role", "realm_access.roles")
	tok, err := v.Verify(t.Context(), sign(t, key, headerOf(key), richClaims))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range tok.texts {
		names = append(names, c.name)
	}
	for _, o := range tok.others {
		names = append(names, o.name)
	}
	if got := fmt.Sprint(names); got != "[role realm_access]" {
		t.Errorf("kept %s", got)
	}
}

func TestDerivedValuesAreBounded(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	tok, err := ownVerifier(t, key).Verify(t.Context(), sign(t, key, headerOf(key), richClaims))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 4 * maxDerived {
				if _, ok := tok.Claim(fmt.Sprint("absent", (i+g)%60)); ok {
					t.Error("an absent claim is there")
				}
				if v, ok := tok.Claim("role"); !ok || v != "x,admin" {
					t.Errorf("role is %v, %v", v, ok)
				}
			}
		})
	}
	group.Wait()
	n := 0
	for v := tok.derived.head.Load(); v != nil; v = v.next {
		n++
	}
	if n == 0 || n > maxDerived {
		t.Errorf("%d values kept, at most %d", n, maxDerived)
	}
}
