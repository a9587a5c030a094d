package token

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var vouching = Issuer{Name: "https://auth.example.com", Own: true}

func opaqueClaims() Claims {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return Claims{
		Issuer:   vouching.Name,
		Subject:  "алиса",
		Audience: []string{"web", "api"},
		IssuedAt: now,
		Expiry:   now.Add(15 * time.Minute),
		ID:       "id-1", ClientID: "reports", Project: "acme", Session: "family", Scopes: []string{"read", "write"},
		Extra:    map[string]any{"role": []string{"admin"}, "big": Number("12345678901234567890")},
		Protocol: map[string]any{"epoch": int64(7)},
	}
}

func TestEncodedClaimsAreReadBackWhole(t *testing.T) {
	c := opaqueClaims()
	text, err := EncodeClaims(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := FromClaims(vouching, "at_reference", text)
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer() != c.Issuer || got.Subject != c.Subject || !slices.Equal(got.Audience, c.Audience) ||
		got.ID != c.ID ||
		got.ClientID != c.ClientID || got.Project != c.Project || got.Session != c.Session ||
		!slices.Equal(got.Scopes, c.Scopes) ||
		!got.IssuedAt.Time().Equal(c.IssuedAt) || !got.Expiry.Time().Equal(c.Expiry) {
		t.Errorf("came back as %+v", got)
	}
	if got.Raw() != "at_reference" || !got.Own() || got.Type() != OpaqueType || got.Key != nil {
		t.Errorf("raw %q, own %v, type %q, key %v", got.Raw(), got.Own(), got.Type(), got.Key)
	}
	for _, c := range []struct {
		path string
		want any
	}{{"epoch", Number("7")}, {"big", Number("12345678901234567890")}, {"role", []any{"admin"}}} {
		t.Run(c.path, func(t *testing.T) {
			if v, ok := got.Claim(c.path); !ok || !reflect.DeepEqual(v, c.want) {
				t.Errorf("%s is %v, want %v", c.path, v, c.want)
			}
		})
	}
}

func TestEncodeClaimsRefusesWhatMintRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Claims)
	}{
		{"no subject", func(c *Claims) { c.Subject = "" }},
		{"a reserved claim", func(c *Claims) { c.Extra = map[string]any{"Sid": "x"} }},
		{"no JSON", func(c *Claims) { c.Extra = map[string]any{"x": func() {}} }},
		{"too large", func(c *Claims) { c.Extra = map[string]any{"x": strings.Repeat("x", MaxSize)} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := opaqueClaims()
			tc.change(&c)
			if text, err := EncodeClaims(c); err == nil {
				t.Errorf("%s: %s", tc.name, text)
			}
		})
	}
}

func TestVouchedClaimsAreReadStrictly(t *testing.T) {
	const rest = `"sub":"alice","aud":"api","exp":1772367300`
	for _, c := range []struct {
		claims string
		want   Reason // empty: accepted
	}{
		{`{` + rest + `}`, ""},
		{`{"iss":"https://auth.example.com",` + rest + `}`, ""},
		{`{"iss":"https://auth.example.com/",` + rest + `}`, UnknownIssuer},
		{`{"iss":["https://auth.example.com"],` + rest + `}`, UnknownIssuer},
		{`{"iss":null,` + rest + `}`, UnknownIssuer},
		{`{` + rest + `,"sub":"bob"}`, Malformed},
		{`{` + rest + `,"Sub":"bob"}`, Malformed},
		{`{` + rest + `} x`, Malformed},
		{`{` + rest + `,"cnf":{"x5t#S256":"x"}}`, WrongType},
		{`{` + rest + `,"cnf":null}`, ""},
		{`[]`, Malformed},
		{``, Malformed},
		{`{"sub":7,"aud":"api","exp":1772367300}`, Malformed},
		{`{"aud":"api","exp":1772367300}`, Malformed},
		{`{"sub":"alice","aud":"api"}`, Malformed},
		{`{"sub":"alice","aud":"api","exp":"1772367300"}`, Malformed},
		{`{"sub":"alice","exp":1772367300}`, WrongAudience},
		{`{` + rest + `,"x":"` + strings.Repeat("x", MaxSize) + `"}`, TooLarge},
		{`{` + rest + `,"x":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}`, Malformed},
	} {
		got, err := FromClaims(vouching, "at_reference", []byte(c.claims))
		refused, _ := errors.AsType[*Refusal](err)
		switch {
		case c.want == "" && err != nil, c.want != "" && (refused == nil || refused.Reason != c.want || got != nil):
			t.Errorf("%.80s: %v, %v; want %q", c.claims, got, err, c.want)
		}
	}
	if _, err := FromClaims(vouching, strings.Repeat("x", MaxSize+1), []byte(`{`+rest+`}`)); err == nil {
		t.Error("a text over the limit was taken")
	}
	if _, err := FromClaims(Issuer{}, "x", []byte(`{`+rest+`}`)); err == nil {
		t.Error("an issuer without a name vouched")
	}
}

func TestForeignVouchedClaimsNameNoProject(t *testing.T) {
	foreign := Issuer{Name: "https://idp.example.com", MaxLifetime: time.Hour}
	got, err := FromClaims(foreign, "x",
		[]byte(`{"sub":"alice","aud":"api","iat":1772366400,"exp":1772373600,"project":"acme","sid":"s","epoch":7,`+
			`"scp":["a","b"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got.Own() || got.Project != "" || !slices.Equal(got.Scopes, []string{"a", "b"}) {
		t.Errorf("own %v, project %q, scopes %q", got.Own(), got.Project, got.Scopes)
	}
	checkNoClaimsOfOurs(t, got)
	err = got.CheckTime(time.Unix(1772366400, 0), 0)
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Reason != LifetimeTooLong {
		t.Errorf("two hours where one is allowed: %v", err)
	}
}
