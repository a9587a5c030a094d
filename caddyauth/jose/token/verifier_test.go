package token

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

const foreignName = "https://idp.example.com"

func noKeys(context.Context, string) (*keyring.Key, error) { return nil, nil }

func foreignClaims(extra string) string {
	return `{"iss":"` + foreignName + `","sub":"alice","aud":"web","exp":1790000900,"iat":1790000000` + extra + `}`
}

// TestIssuerOfAToken holds which issuer, and which refusal, a token gets when several are accepted.
func TestIssuerOfAToken(t *testing.T) {
	ours, theirs := newMaterial(t, "ours", "ES256").key, newMaterial(t, "theirs", "RS256").key
	sharedOurs, sharedTheirs := newMaterial(t, "shared", "HS256").key, newMaterial(t, "shared", "ES256").key
	sister := newMaterial(t, "sister", "EdDSA").key
	down := func(context.Context, string) (*keyring.Key, error) { return nil, keyring.ErrKeysUnavailable }
	v := newVerifier(t,
		Issuer{Name: foreignName, Keys: holding(theirs, sharedTheirs)},
		Issuer{Name: ownName, Own: true, Keys: holding(ours, sharedOurs, sister)},
		Issuer{Name: "old-name", Own: true, Keys: holding(sister)},
		Issuer{Name: "down", Keys: down},
		Issuer{
			Name: "broken",
			Keys: func(context.Context, string) (*keyring.Key, error) { return nil, context.DeadlineExceeded },
		},
		Issuer{Name: "empty", Keys: noKeys},
	)
	for _, c := range []struct {
		name   string
		key    *keyring.Key
		claims string
		want   Reason
		issuer string
	}{
		{"own", ours, goodClaims, "accepted", ownName},
		{"foreign", theirs, foreignClaims(""), "accepted", foreignName},
		{"one kid in both, ours", sharedOurs, goodClaims, "accepted", ownName},
		{"one kid in both, theirs", sharedTheirs, foreignClaims(""), "accepted", foreignName},
		{"one kid in both, theirs as ours", sharedTheirs, goodClaims, BadAlgorithm, ""},
		{"one kid in both, ours as theirs", sharedOurs, foreignClaims(""), UnknownKey, ""},
		{"two own issuers of one key", sister, goodClaims, "accepted", ownName},
		{"the other of them", sister, with("iss", `"old-name"`), "accepted", "old-name"},
		{"our key, their name", ours, foreignClaims(""), UnknownKey, ""},
		{"their key, our name", theirs, goodClaims, UnknownKey, ""},
		{"our key, nobody's name", ours, with("iss", `"nobody"`), UnknownIssuer, ""},
		{"their key, nobody's name", theirs, with("iss", `"nobody"`), UnknownIssuer, ""},
		{"issuer down", theirs, with("iss", `"down"`), KeysUnavailable, ""},
		{"issuer broken", theirs, with("iss", `"broken"`), KeysUnavailable, ""},
		{"issuer without keys", theirs, with("iss", `"empty"`), UnknownKey, ""},
		{"their key, no issuer", theirs, with("iss", ""), Malformed, ""},
		{"their key, a list as issuer", theirs, with("iss", `["`+foreignName+`"]`), Malformed, ""},
		{"their key, their name but folded", theirs, `{"ISS":"` + foreignName + `"}`, Malformed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := v.Verify(t.Context(), sign(t, c.key, headerOf(c.key), c.claims))
			if got := reasonOf(t, err); got != c.want {
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
			if err == nil && (tok.Issuer() != c.issuer || tok.Own() != (c.issuer != foreignName)) {
				t.Errorf("%s: issuer %s, own %v", c.name, tok.Issuer(), tok.Own())
			}
		})
	}
}

// TestForeignKeysAreAskedOnlyForTheirOwn: a flood of other tokens causes no fetch, and no wait for
// an issuer that is down.
func TestForeignKeysAreAskedOnlyForTheirOwn(t *testing.T) {
	ours, stray := newMaterial(t, "ours", "HS256").key, newMaterial(t, "stray", "ES256").key
	asked := 0
	v := newVerifier(t,
		Issuer{Name: ownName, Own: true, Keys: holding(ours)},
		Issuer{Name: foreignName, Keys: func(context.Context, string) (*keyring.Key, error) {
			asked++
			return nil, keyring.ErrUnknownKey
		}},
	)
	for _, raw := range []string{
		sign(t, ours, headerOf(ours), goodClaims),
		sign(t, stray, headerOf(stray), goodClaims),
		sign(t, stray, headerOf(stray), with("iss", `"nobody"`)),
		sign(t, stray, `{"alg":"none","kid":"x"}`, foreignClaims("")),
		sign(t, stray, headerOf(stray), "foo"),
		"a.b.c",
	} {
		_, _ = v.Verify(t.Context(), raw)
	}
	if asked != 0 {
		t.Errorf("asked %d times", asked)
	}
	_, err := v.Verify(t.Context(), sign(t, stray, headerOf(stray), foreignClaims("")))
	if reasonOf(t, err) != UnknownKey || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

func TestForeignClaims(t *testing.T) {
	key := newMaterial(t, "k", "ES256").key
	v := newVerifier(t, Issuer{Name: foreignName, Keys: holding(key)})
	for _, want := range []struct {
		extra  string
		reason Reason
		scopes []string
	}{
		{``, "accepted", nil},
		{`,"scp":["a","b"]`, "accepted", []string{"a", "b"}},
		{`,"scp":"a b"`, "accepted", []string{"a", "b"}},
		{`,"scope":"a","scp":["b"]`, "accepted", []string{"a"}},
		{`,"scope":"","scp":["b"]`, "accepted", []string{}},
		{`,"scp":[]`, "accepted", []string{}},
		{`,"scp":7`, Malformed, nil},
		{`,"scp":["a",7]`, Malformed, nil},
		{`,"scp":null`, Malformed, nil},
		{`,"project":{"id":7},"displayName":"x"`, "accepted", nil},
	} {
		t.Run(want.extra, func(t *testing.T) {
			tok, err := v.Verify(t.Context(), sign(t, key, headerOf(key), foreignClaims(want.extra)))
			if got := reasonOf(t, err); got != want.reason {
				t.Errorf("%s: %v, want %s", want.extra, err, want.reason)
				return
			}
			if err == nil && (!slices.Equal(tok.Scopes, want.scopes) || tok.Project != "") {
				t.Errorf("%s: scopes %q, project %q", want.extra, tok.Scopes, tok.Project)
			}
		})
	}
	ours := ownVerifier(t, key)
	tok, err := ours.Verify(t.Context(), sign(t, key, headerOf(key), with("scp", `["admin"]`)))
	if err != nil || tok.Scopes != nil {
		t.Errorf("scp of our own issuer gives %q, %v", tok.Scopes, err)
	}
}

func TestTypesOfAnIssuer(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	const (
		at   = `{"alg":"HS256","kid":"k","typ":"at+JWT"}`
		jwt  = `{"alg":"HS256","kid":"k","typ":"JWT"}`
		none = `{"alg":"HS256","kid":"k"}`
	)
	for _, c := range []struct {
		types   []string
		allowed []string
	}{
		{nil, []string{at}},
		{[]string{"application/at+jwt"}, []string{at}},
		{[]string{"JWT", "at+jwt"}, []string{at, jwt}},
		{[]string{""}, []string{none}},
	} {
		v := newVerifier(t, Issuer{Name: ownName, Own: true, Keys: holding(key), Types: c.types})
		for _, header := range []string{at, jwt, none} {
			want := WrongType
			if slices.Contains(c.allowed, header) {
				want = "accepted"
			}
			_, err := v.Verify(t.Context(), sign(t, key, header, goodClaims))
			if got := reasonOf(t, err); got != want {
				t.Errorf("%q, %s: %v, want %s", c.types, header, err, want)
			}
		}
	}
}

func TestAlgorithmsOfAnIssuer(t *testing.T) {
	es, rs := newMaterial(t, "es", "ES256").key, newMaterial(t, "rs", "RS256").key
	v := newVerifier(t, Issuer{Name: ownName, Own: true, Keys: holding(es, rs), Algorithms: []string{"ES256"}})
	if _, err := v.Verify(t.Context(), sign(t, es, headerOf(es), goodClaims)); err != nil {
		t.Error(err)
	}
	if _, err := v.Verify(t.Context(), sign(t, rs, headerOf(rs), goodClaims)); reasonOf(t, err) != BadAlgorithm {
		t.Error(err)
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		issuers []Issuer
	}{
		{"none", nil},
		{"no name", []Issuer{{Keys: noKeys}}},
		{"no keys", []Issuer{{Name: "a"}}},
		{"one name twice", []Issuer{{Name: "a", Keys: noKeys}, {Name: "a", Keys: noKeys}}},
		{"unknown algorithm", []Issuer{{Name: "a", Keys: noKeys, Algorithms: []string{"none"}}}},
		{"negative lifetime", []Issuer{{Name: "a", Keys: noKeys, MaxLifetime: -1}}},
		{"over a year", []Issuer{{Name: "a", Keys: noKeys, MaxLifetime: MaxLifetime + time.Second}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v, err := NewVerifier(c.issuers); err == nil || v != nil {
				t.Errorf("%s is accepted", c.name)
			}
		})
	}
}

func TestVerifierKeepsItsSettings(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	issuers := []Issuer{
		{Name: ownName, Own: true, Keys: holding(key), Types: []string{"at+jwt"}, Algorithms: []string{"HS256"}},
	}
	v := newVerifier(t, issuers...)
	issuers[0].Types[0], issuers[0].Algorithms[0] = "x", "x"
	if _, err := v.Verify(t.Context(), sign(t, key, headerOf(key), goodClaims)); err != nil {
		t.Error(err)
	}
}

func TestVerifyPassesTheContextOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	key := newMaterial(t, "k", "HS256").key
	v := newVerifier(t,
		Issuer{
			Name: ownName,
			Keys: func(ctx context.Context, _ string) (*keyring.Key, error) { return nil, ctx.Err() },
		})
	_, err := v.Verify(ctx, sign(t, key, headerOf(key), goodClaims))
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Reason != KeysUnavailable {
		t.Error(err)
	}
}

// TestKnownHeadersDecideNothing: a header seen with a good signature does not help a token with a
// bad one, or one whose key is gone.
func TestKnownHeadersDecideNothing(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	gone := false
	v := newVerifier(t, Issuer{Name: ownName, Own: true, Keys: func(context.Context, string) (*keyring.Key, error) {
		if gone {
			return nil, keyring.ErrUnknownKey
		}
		return key, nil
	}})
	good := sign(t, key, headerOf(key), goodClaims)
	for range 2 {
		if _, err := v.Verify(t.Context(), good); err != nil {
			t.Fatal(err)
		}
	}
	if _, known := v.headers.find([]byte(headerOf(key))); !known {
		t.Error("the header is not known")
	}
	_, err := v.Verify(t.Context(), forge([]byte("x"), headerOf(key), goodClaims))
	if reasonOf(t, err) != BadSignature {
		t.Error(err)
	}
	other := `{"alg":"HS256","kid":"k","typ":"JWT"}`
	if _, err := v.Verify(t.Context(), forge([]byte("x"), other, goodClaims)); reasonOf(t, err) != BadSignature {
		t.Error(err)
	}
	if _, known := v.headers.find([]byte(other)); known {
		t.Error("the header of a forged token is kept")
	}
	gone = true
	if _, err := v.Verify(t.Context(), good); reasonOf(t, err) != UnknownKey {
		t.Error(err)
	}
}
