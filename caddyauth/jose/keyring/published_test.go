package keyring

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
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

// TestPublishedSetIsFetchedWhenItIsNeeded: the first time, after its life, and at once for an unknown
// key id, but for one never twice within 30 seconds.
func TestPublishedSetIsFetchedWhenItIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, third := mustGenerate(t, "ES256"), mustGenerate(t, "ES256"), mustGenerate(t, "ES256")
		f := &fakeIssuer{answer: keySet(300, first)}
		p := &Published{Sets: new(PublishedSets), Transport: f}
		find := func(k *Key, want error, fetches int) {
			t.Helper()
			got, err := p.Key(t.Context(), ofClient, k.ID())
			if !errors.Is(err, want) || want == nil && !got.Equal(k) || f.fetches() != fetches {
				t.Errorf("%v, %v after %d fetches; want %v after %d", got, err, f.fetches(), want, fetches)
			}
		}
		find(first, nil, 1)
		find(first, nil, 1)
		f.serve(keySet(300, second)) // replaced right after a fetch
		find(second, nil, 2)
		find(first, ErrUnknownKey, 2)
		find(third, ErrUnknownKey, 2)
		time.Sleep(29 * time.Second)
		f.serve(keySet(300, second, third))
		find(third, ErrUnknownKey, 2)
		time.Sleep(time.Second)
		find(third, nil, 3)
		time.Sleep(301 * time.Second)
		f.serve(down)
		find(second, nil, 4) // the last good set
		find(second, nil, 4)
		time.Sleep(staleByDefault)
		find(second, ErrKeysUnavailable, 5)
		find(second, ErrKeysUnavailable, 5)
		time.Sleep(30 * time.Second)
		f.serve(keySet(300, second))
		find(second, nil, 6)
		find(first, ErrUnknownKey, 7)
		find(first, ErrUnknownKey, 7)
	})
}

// TestPublishedSetIsRenewed: once within 30 seconds, whoever asks for it and however it ends.
func TestPublishedSetIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := mustGenerate(t, "ES256"), mustGenerate(t, "ES256")
		f := &fakeIssuer{answer: keySet(300, first)}
		p := &Published{Sets: new(PublishedSets), Transport: f}
		only := func(want *Key) {
			t.Helper()
			if got, err := p.Key(t.Context(), ofClient, ""); err != nil || !got.Equal(want) {
				t.Errorf("%v, %v", got, err)
			}
		}
		renew := func(want bool, fetches int) {
			t.Helper()
			if got := p.Renew(t.Context(), ofClient); got != want || f.fetches() != fetches {
				t.Errorf("%v after %d fetches, want %v after %d", got, f.fetches(), want, fetches)
			}
		}
		only(first)
		f.serve(keySet(300, second))
		only(first)
		renew(true, 2)
		only(second)
		renew(false, 2)
		time.Sleep(30 * time.Second)
		f.serve(down)
		renew(false, 3)
		renew(false, 3)
		only(second)
	})
}

// TestPublishedSetsHaveNoPartInEachOther: what is refused of an address, and that many of them take
// bounded memory.
func TestPublishedSetsHaveNoPartInEachOther(t *testing.T) {
	f := &fakeIssuer{answer: keySet(300, mustGenerate(t, "ES256"))}
	p := &Published{Sets: new(PublishedSets), Transport: f}
	for _, c := range []struct {
		from Source
		want string // in the error
	}{
		{Source{URL: "http://client.example/jwks"}, "not https"},
		{Source{URL: "http://127.0.0.1/jwks"}, "leads to this machine"},
		{Source{URL: "https://localhost/jwks"}, "leads to this machine"},
		{Source{URL: "https://a:b@client.example/jwks"}, "user name"},
		{Source{URL: "https://client.example/jwks", Algorithms: []string{"PS256"}}, "no usable key"},
		{Source{URL: "https://client.example/jwks"}, ""},
	} {
		t.Run(c.from.URL, func(t *testing.T) {
			_, err := p.Key(t.Context(), c.from, "")
			if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, ErrKeysUnavailable) ||
				!strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	f.serve(body(http.StatusOK, `{"keys":[`+strings.Repeat(" ", maxKeySet)+`]}`, ""))
	if _, err := p.Key(t.Context(), Source{URL: "https://large.example"}, ""); err == nil ||
		!strings.Contains(err.Error(), "larger") {
		t.Errorf("a large set: %v", err)
	}
	for i := range maxPublished + 10 {
		_, _ = p.Key(t.Context(), Source{URL: fmt.Sprintf("https://%d.example", i)}, "")
	}
	if len(p.Sets.sets) != maxPublished {
		t.Errorf("%d sets are kept", len(p.Sets.sets))
	}
}

// publisher is a server on this machine that publishes a key set.
type publisher struct {
	*httptest.Server
	fetches atomic.Int64
}

func newPublisher(t *testing.T, start func(http.Handler) *httptest.Server) *publisher {
	p, set := new(publisher), marshalJWKS([]*Key{mustGenerate(t, "ES256")})
	p.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = w.Write(set)
	}))
	t.Cleanup(p.Close)
	return p
}

// at is the publisher under another name or address of this machine.
func (p *publisher) at(host string) string {
	return strings.Replace(p.URL, "127.0.0.1", host, 1) + "/jwks"
}

// TestPublishersAreReachedWhereTheOperatorAllows: nothing but the open internet is dialled, whatever
// a name resolves to and wherever a redirect leads, unless it is allowed.
func TestPublishersAreReachedWhereTheOperatorAllows(t *testing.T) {
	plain, encrypted := newPublisher(t, httptest.NewServer), newPublisher(t, httptest.NewTLSServer)
	roots := x509.NewCertPool()
	roots.AddCert(encrypted.Certificate())
	allow := func(networks ...string) (all []netip.Prefix) {
		for _, n := range networks {
			all = append(all, netip.MustParsePrefix(n))
		}
		return all
	}
	here := allow("127.0.0.1/32")
	const inside = "is not allowed here"
	for _, c := range []struct {
		name, url string
		allow     []netip.Prefix
		roots     *x509.CertPool
		want      string // in the error; empty: the set is fetched
	}{
		{"this machine", encrypted.at("127.0.0.1"), nil, roots, "leads to this machine"},
		{"this machine over http", plain.at("127.0.0.1"), nil, nil, "leads to this machine"},
		{"another network is allowed", encrypted.at("127.0.0.1"), allow("10.0.0.0/8"), roots, "leads to this machine"},
		{"allowed", encrypted.at("127.0.0.1"), here, roots, ""},
		{"allowed, another certificate authority", encrypted.at("127.0.0.1"), here, nil, "certificate"},
		{"allowed, over http", plain.at("127.0.0.1"), here, nil, ""},
		{"a name of an address that is not allowed", plain.at("localhost"), allow("127.0.0.9/32"), nil, inside},
		{"another address of this machine", plain.at("127.0.0.2"), here, nil, inside},
		{"redirect", plain.at("127.0.0.1") + "?to=/other", here, nil, ""},
		{"redirect to what is not allowed", plain.at("127.0.0.1") + "?to=" + plain.at("127.0.0.2"), here, nil, inside},
		{"redirect to a link-local address", plain.at("127.0.0.1") + "?to=https://169.254.169.254/", here, nil, inside},
		{"redirect in a circle", plain.at("127.0.0.1") + "?to=/?to=/?to=", here, nil, ""},
		{"redirect to a file", plain.at("127.0.0.1") + "?to=file:///etc/passwd", here, nil, "has no host"},
		{"private", "https://10.0.0.1/jwks", nil, nil, inside},
		{"the metadata of a cloud", "https://169.254.169.254/latest", nil, nil, inside},
		{"the same inside IPv6", "https://[::ffff:169.254.169.254]/", nil, nil, inside},
		{"the same behind NAT64", "https://[64:ff9b::a9fe:a9fe]/", nil, nil, inside},
		{"link-local", "https://[fe80::1]/", nil, nil, inside},
		{"unspecified", "https://0.0.0.0/", nil, nil, inside},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &Published{Sets: new(PublishedSets), Allow: c.allow, Roots: c.roots}
			_, err := p.Key(t.Context(), Source{URL: c.url}, "")
			if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, ErrKeysUnavailable) ||
				!strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestUnknownPublishersReachPublicHostsAlone: neither what is allowed for others holds for them, nor
// what was fetched there.
func TestUnknownPublishersReachPublicHostsAlone(t *testing.T) {
	server := newPublisher(t, httptest.NewTLSServer)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	p := &Published{
		Sets:  new(PublishedSets),
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Roots: roots,
	}
	for _, c := range []struct {
		name    string
		unknown bool
	}{{"unknown", true}, {"known", false}, {"unknown, after it was fetched", true}} {
		t.Run(c.name, func(t *testing.T) {
			before := server.fetches.Load()
			_, err := p.Key(t.Context(), Source{URL: server.at("127.0.0.1"), Unknown: c.unknown}, "")
			if (err != nil) != c.unknown || c.unknown && server.fetches.Load() != before {
				t.Errorf("%v after %d fetches", err, server.fetches.Load()-before)
			}
		})
	}
}

// TestWhatIsNotAllowedAnyMoreIsForgotten: a reload takes an address or a certificate authority away.
func TestWhatIsNotAllowedAnyMoreIsForgotten(t *testing.T) {
	server := newPublisher(t, httptest.NewTLSServer)
	roots, same, other := x509.NewCertPool(), x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(server.Certificate())
	same.AddCert(server.Certificate())
	here, sets := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, new(PublishedSets)
	for _, c := range []struct {
		name    string
		p       *Published
		good    bool
		fetches int64
	}{
		{"allowed", &Published{Allow: here, Roots: roots}, true, 1},
		{"the same certificate authority, read again", &Published{Allow: here, Roots: same}, true, 1},
		{"another certificate authority", &Published{Allow: here, Roots: other}, false, 1},
		{"not allowed", &Published{Roots: roots}, false, 1},
		{"allowed again", &Published{Allow: here, Roots: roots}, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.p.Sets = sets
			_, err := c.p.Key(t.Context(), Source{URL: server.at("127.0.0.1")}, "")
			if (err == nil) != c.good || server.fetches.Load() != c.fetches {
				t.Errorf("%v after %d fetches, want %d", err, server.fetches.Load(), c.fetches)
			}
		})
	}
}
