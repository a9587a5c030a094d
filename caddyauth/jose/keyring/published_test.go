package keyring

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestKeySetOfAClient: what is in it, and what the empty id finds.
func TestKeySetOfAClient(t *testing.T) {
	ec, rsa := mustGenerate(t, "ES256"), mustGenerate(t, "PS256")
	one, both := string(marshalJWKS([]*Key{ec})), string(marshalJWKS([]*Key{ec, rsa}))
	nameless := strings.Replace(one, `"kid":"`+ec.ID()+`",`, "", 1)
	for _, c := range []struct {
		name       string
		set        string
		algorithms []string
		kid        string
		want       string // algorithm of the key, "" for ErrUnknownKey
		bad        string // in the error of ParseKeySet
	}{
		{"by id", both, nil, rsa.ID(), "PS256", ""},
		{"the only one", one, nil, "", "ES256", ""},
		{"no id and two keys", both, nil, "", "", ""},
		{"another id", one, nil, "other", "", ""},
		{"published without an id", nameless, nil, "", "ES256", ""},
		{"published without an id, by thumbprint", nameless, nil, thumbprint(ec.public), "ES256", ""},
		{"of which one has an accepted algorithm", both, []string{"PS256"}, "", "PS256", ""},
		{"no accepted algorithm", one, []string{"PS256"}, "", "", "no usable key"},
		{"a secret", `{"keys":[{"kty":"oct","kid":"a","k":"` + strings.Repeat("A", 43) + `"}]}`, nil, "", "", "secret"},
		{"a private key", strings.Replace(one, `{"crv"`, `{"d":"AA","crv"`, 1), nil, "", "", "secret part"},
		{"no list", `{}`, nil, "", "", "no list"},
		{"empty", `{"keys":[]}`, nil, "", "", "no usable key"},
		{"for encryption", strings.Replace(one, `"sig"`, `"enc"`, 1), nil, "", "", "not sig"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := ParseKeySet([]byte(c.set), c.algorithms)
			if c.bad != "" {
				if err == nil || !strings.Contains(err.Error(), c.bad) {
					t.Errorf("error %v, want %q", err, c.bad)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			k, err := set.Key(c.kid)
			if c.want == "" && !errors.Is(err, ErrUnknownKey) ||
				c.want != "" && (err != nil || k.Algorithm() != c.want) {
				t.Errorf("%v, %v", k, err)
			}
		})
	}
}

var ofClient = Source{URL: "https://client.example/jwks.json"}

// TestPublishedSetIsFetchedWhenItIsNeeded: the first time, after its life, and for an unknown key
// id, but never twice within 30 seconds.
func TestPublishedSetIsFetchedWhenItIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := mustGenerate(t, "ES256"), mustGenerate(t, "ES256")
		f := &fakeIssuer{answer: keySet(300, first)}
		p := &Published{Transport: f}
		find := func(k *Key, want error, fetches int) {
			t.Helper()
			got, err := p.Key(t.Context(), ofClient, k.ID())
			if !errors.Is(err, want) || want == nil && !got.Equal(k) || f.fetches() != fetches {
				t.Errorf("%v, %v after %d fetches; want %v after %d", got, err, f.fetches(), want, fetches)
			}
		}
		find(first, nil, 1)
		find(first, nil, 1)
		find(second, ErrUnknownKey, 1)
		time.Sleep(29 * time.Second)
		f.serve(keySet(300, first, second))
		find(second, ErrUnknownKey, 1)
		time.Sleep(time.Second)
		find(second, nil, 2)
		time.Sleep(301 * time.Second)
		f.serve(down)
		find(second, nil, 3) // the last good set
		find(second, nil, 3)
		time.Sleep(staleByDefault)
		find(second, ErrKeysUnavailable, 4)
		find(second, ErrKeysUnavailable, 4)
		time.Sleep(30 * time.Second)
		f.serve(keySet(300, second))
		find(second, nil, 5)
		find(first, ErrUnknownKey, 5)
	})
}

// TestPublishedSetsHaveNoPartInEachOther: what is refused of an address, and that many of them take
// bounded memory.
func TestPublishedSetsHaveNoPartInEachOther(t *testing.T) {
	f := &fakeIssuer{answer: keySet(300, mustGenerate(t, "ES256"))}
	p := &Published{Transport: f}
	for _, c := range []struct {
		from Source
		want string // in the error
	}{
		{Source{URL: "http://client.example/jwks"}, "not https"},
		{Source{URL: "http://127.0.0.1/jwks"}, "leads to this machine"},
		{Source{URL: "http://127.0.0.1/jwks", Configured: true}, ""},
		{Source{URL: "https://a:b@client.example/jwks"}, "user name"},
		{Source{URL: "https://client.example/jwks", Algorithms: []string{"PS256"}}, "no usable key"},
		{Source{URL: "https://client.example/jwks"}, ""},
	} {
		_, err := p.Key(t.Context(), c.from, "")
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, ErrKeysUnavailable) ||
			!strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.from, err, c.want)
		}
	}
	f.serve(body(http.StatusOK, `{"keys":[`+strings.Repeat(" ", maxKeySet)+`]}`, ""))
	if _, err := p.Key(t.Context(), Source{URL: "https://large.example"}, ""); err == nil ||
		!strings.Contains(err.Error(), "larger") {
		t.Errorf("a large set: %v", err)
	}
	for i := range maxPublished + 10 {
		_, _ = p.Key(t.Context(), Source{URL: fmt.Sprintf("https://%d.example", i)}, "")
	}
	if len(p.sets) != maxPublished {
		t.Errorf("%d sets are kept", len(p.sets))
	}
}
