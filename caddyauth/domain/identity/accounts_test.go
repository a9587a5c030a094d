package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

func TestClaimsThatNobodyMayHave(t *testing.T) {
	deep := any("x")
	for range 8 {
		deep = []any{deep}
	}
	many := map[string]any{}
	for i := range 65 {
		many[fmt.Sprint(i)] = 1
	}
	for _, c := range []struct {
		want   string
		claims map[string]any
	}{
		{`claims: "project" is reserved`, map[string]any{"project": "acme"}},
		{`claims: "SID" is reserved`, map[string]any{"SID": "x"}},
		{`claims: "epoch" is reserved`, map[string]any{"epoch": 1}},
		{"claims: a name is empty", map[string]any{"": 1}},
		{"claims: a name of 129 bytes", map[string]any{strings.Repeat("n", 129): 1}},
		{`claims: "Role" and "role" differ only`, map[string]any{"role": 1, "Role": 2}},
		{`claims: "x" is nested deeper than`, map[string]any{"x": deep}},
		{`claims: "n": the number 1e400 is out of range`, map[string]any{"n": json.Number("1e400")}},
		{`claims: "o": the number -1e309 is`, map[string]any{"o": map[string]any{"l": []any{json.Number("-1e309")}}}},
		{"claims: 65 are above the limit of 64", many},
		{"claims: 5012 bytes of JSON are above", map[string]any{"x": strings.Repeat("v", 5004)}},
	} {
		t.Run(c.want, func(t *testing.T) {
			if err := ValidateClaims(c.claims); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	if err := ValidateClaims(map[string]any{
		"role": []any{"admin"},
		"n":    json.Number("1"),
		"long": json.Number("12345678901234567890"),
		"tiny": json.Number("1e-400"),
		"o":    map[string]any{"project": 1},
	}); err != nil {
		t.Error(err)
	}
}

func TestNewPasswordsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ want, password string }{
		{"password: 7 bytes are below the limit of 8", "1234567"},
		{"password: 0 bytes are below", ""},
		{"password: 1025 bytes are above the limit of 1024", strings.Repeat("a", 1025)},
		{"password: it is not UTF-8 without NUL characters", "12345678\x00"},
		{"password: 6 bytes are below the limit of 8", "e\u0301e\u0301e\u0301"}, // nine bytes as typed
		{"password: it is not UTF-8 without NUL characters ", "12345678\xff"},
	} {
		t.Run(c.want, func(t *testing.T) {
			err := ValidatePassword(c.password)
			if !errors.Is(err, ErrBadPassword) || !strings.HasPrefix(err.Error(), strings.TrimSpace(c.want)) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestNewHashIsThatOfCaddyHashPassword(t *testing.T) {
	p := NewPasswords(nil)
	hash, err := p.Hash(t.Context(), "cafe\u0301 au lait")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=47104,t=1,p=1$") {
		t.Fatalf("%s, %v", hash, err)
	}
	again, err := p.Hash(t.Context(), "cafe\u0301 au lait")
	if err != nil || again == hash {
		t.Errorf("the salt is the same: %v", err)
	}
	if got, err := workOf(hash); err != nil || got != defaultWork() {
		t.Errorf("%+v, %v; want %+v", got, err, defaultWork())
	}
	for _, c := range []struct {
		password string
		fits     bool
	}{{"cafe\u0301 au lait", true}, {"caf\u00e9 au lait", true}, {"cafe au lait", false}} {
		t.Run(c.password, func(t *testing.T) {
			if ok, err := p.Check(t.Context(), &User{PasswordHash: hash}, c.password); err != nil || ok != c.fits {
				t.Errorf("%q: %v, %v", c.password, ok, err)
			}
		})
	}
	if p.Computed() != 5 {
		t.Errorf("%d hashes were computed", p.Computed())
	}
}

func TestNewHashWaitsForItsTurnAtMostTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPasswords(nil)
		p.slots = newSlots(1)
		if err := p.slots.Acquire(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Hash(t.Context(), "long enough"); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
		if _, err := p.Hash(t.Context(), "short"); !errors.Is(err, ErrBadPassword) {
			t.Errorf("a refused password took a turn: %v", err)
		}
	})
}
