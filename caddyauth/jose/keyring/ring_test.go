package keyring

import (
	"encoding/json"
	"strings"
	"testing"

	jwxjwk "github.com/lestrrat-go/jwx/v2/jwk"
)

func mustRing(tb testing.TB, active string, keys ...*Key) *Ring {
	tb.Helper()
	r, err := NewRing(keys, active)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestRingFindsKeysAndPicksTheActiveOne(t *testing.T) {
	a, b := mustGenerate(t, "HS256"), mustGenerate(t, "ES256")
	public := publicOnly(t, mustGenerate(t, "EdDSA"))
	r := mustRing(t, b.ID(), public, a, b)
	if r.Key(a.ID()) != a || r.Key("") != nil || r.Key("x") != nil || r.Active() != b {
		t.Error("wrong key")
	}
	if keys := r.Keys(); len(keys) != 3 || keys[0] != public || keys[2] != b {
		t.Errorf("order: %v", keys)
	}
	if r := mustRing(t, "", public, a, b); r.Active() != a {
		t.Errorf("active by default: %v, want the first that can sign", r.Active())
	}
	if r := mustRing(t, "", public); r.Active() != nil {
		t.Errorf("active of a ring that only verifies: %v", r.Active())
	}
}

func TestNilRingHasNoKeys(t *testing.T) {
	var r *Ring
	if r.Key("k") != nil || r.Active() != nil || r.Keys() != nil || string(r.JWKS()) != `{"keys":[]}` {
		t.Error("a nil ring has keys")
	}
}

func TestRingsThatAreRefused(t *testing.T) {
	a := mustGenerate(t, "ES256")
	public := publicOnly(t, mustGenerate(t, "EdDSA"))
	for _, c := range []struct {
		want, active string
		keys         []*Key
	}{
		{"keys: none given", "", nil},
		{`id "` + a.ID() + `" is given to more than one key`, "", []*Key{a, a}},
		{"key 2 has an empty id", "", []*Key{a, {}}},
		{"key 2 has an empty id", "", []*Key{a, nil}},
		{`active key "k9" is not in the ring, which holds ["` + a.ID() + `"]`, "k9", []*Key{a}},
		{"cannot sign, it has no private part", public.ID(), []*Key{a, public}},
	} {
		if _, err := NewRing(c.keys, c.active); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestJWKSHoldsPublicKeysOnly(t *testing.T) {
	var keys []*Key
	for _, name := range Algorithms() {
		keys = append(keys, mustGenerate(t, name))
	}
	set := mustRing(t, "", keys...).JWKS()

	var published struct{ Keys []map[string]string }
	if err := json.Unmarshal(set, &published); err != nil {
		t.Fatal(err)
	}
	if len(published.Keys) != len(keys)-3 {
		t.Fatalf("%d keys are published", len(published.Keys))
	}
	allowed := "kty crv n e x y kid alg use"
	for _, k := range published.Keys {
		for member := range k {
			if !strings.Contains(" "+allowed+" ", " "+member+" ") {
				t.Errorf("member %q is published", member)
			}
		}
		if k["use"] != "sig" || k["kid"] == "" || k["alg"] == "" {
			t.Errorf("%v", k)
		}
	}

	readBack, err := ParseFile("", set, "")
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range readBack {
		if !k.Equal(keys[i+3]) || k.CanSign() {
			t.Errorf("%v came back as %v", keys[i+3], k)
		}
	}
	foreign, err := jwxjwk.Parse(set)
	if err != nil || foreign.Len() != len(published.Keys) {
		t.Errorf("another reader: %v", err)
	}
}

func TestJWKSOfSecretsIsEmpty(t *testing.T) {
	r := mustRing(t, "", mustGenerate(t, "HS256"), mustGenerate(t, "HS512"))
	if got := string(r.JWKS()); got != `{"keys":[]}` {
		t.Error(got)
	}
}
