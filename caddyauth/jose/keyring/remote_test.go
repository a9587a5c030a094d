package keyring

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeIssuer answers requests from memory, so that time can be virtual.
type fakeIssuer struct {
	mu     sync.Mutex
	asked  []string // paths
	answer func(req *http.Request) (*http.Response, error)
}

func (f *fakeIssuer) RoundTrip(req *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.asked = append(f.asked, req.URL.Path)
	answer := f.answer
	f.mu.Unlock()
	return answer(req)
}

func (f *fakeIssuer) serve(answer func(*http.Request) (*http.Response, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fakeIssuer) fetches() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

// keySet answers with the public keys and a max-age in seconds.
func keySet(maxAge int, keys ...*Key) func(*http.Request) (*http.Response, error) {
	return body(200, string(marshalJWKS(keys)), "max-age="+strconv.Itoa(maxAge))
}

func body(status int, text, cacheControl string) func(*http.Request) (*http.Response, error) {
	return func(req *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Request: req, Body: io.NopCloser(strings.NewReader(text)),
			Header: http.Header{"Cache-Control": {cacheControl}},
		}, nil
	}
}

func down(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }

// hang answers when the request is given up.
func hang(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// inBubble runs a test of a Remote in virtual time. Run ends with the test.
func inBubble(t *testing.T, answer func(*http.Request) (*http.Response, error),
	test func(t *testing.T, r *Remote, f *fakeIssuer)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeIssuer{answer: answer}
		r := &Remote{Issuer: "idp", JWKSURL: "https://idp.example.com/jwks.json", Transport: f}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		test(t, r, f)
		cancel()
		<-done
	})
}

func wantKey(t *testing.T, r *Remote, k *Key) *Key {
	t.Helper()
	got, err := r.Key(t.Context(), k.id)
	if err != nil || !got.Equal(k) || got.CanSign() {
		t.Fatalf("got %v, %v; want %v", got, err, k)
	}
	return got
}

func wantError(t *testing.T, r *Remote, kid string, want error) {
	t.Helper()
	if k, err := r.Key(t.Context(), kid); err != want || k != nil {
		t.Fatalf("got %v, %v; want %v", k, err, want)
	}
}

func TestFirstRequestWaitsForTheFirstFetch(t *testing.T) {
	k := mustGenerate(t, "ES256")
	slow := func(req *http.Request) (*http.Response, error) {
		time.Sleep(3 * time.Second)
		return keySet(600, k)(req)
	}
	inBubble(t, slow, func(t *testing.T, r *Remote, f *fakeIssuer) {
		started := time.Now()
		wantKey(t, r, k)
		if waited := time.Since(started); waited != 3*time.Second {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestFirstRequestDoesNotWaitPastItsEnd(t *testing.T) {
	inBubble(t, hang, func(t *testing.T, r *Remote, f *fakeIssuer) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		started := time.Now()
		_, err := r.Key(ctx, "k")
		if waited := time.Since(started); err != ErrKeysUnavailable || waited != time.Second {
			t.Errorf("%v after %s", err, waited)
		}
	})
}

func TestSlowIssuerIsGivenUpAfterFiveSeconds(t *testing.T) {
	inBubble(t, hang, func(t *testing.T, r *Remote, f *fakeIssuer) {
		started := time.Now()
		wantError(t, r, "k", ErrKeysUnavailable)
		if waited := time.Since(started); waited != 5*time.Second {
			t.Errorf("waited %s", waited)
		}
		time.Sleep(time.Second)
		started = time.Now()
		wantError(t, r, "k", ErrKeysUnavailable)
		if waited := time.Since(started); waited != 0 {
			t.Errorf("a later request waited %s", waited)
		}
	})
}

func TestKeyOfARemoteThatDoesNotRunIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Remote{Issuer: "https://idp.example.com"}
		started := time.Now()
		wantError(t, r, "k", ErrKeysUnavailable)
		if waited := time.Since(started); waited != 5*time.Second || r.Available() {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestIssuerDownAtStartIsPickedUpWhenItComes(t *testing.T) {
	k := mustGenerate(t, "RS256")
	inBubble(t, down, func(t *testing.T, r *Remote, f *fakeIssuer) {
		wantError(t, r, k.id, ErrKeysUnavailable)
		if !r.Fetched().IsZero() || r.Available() {
			t.Error("available before any fetch succeeded")
		}
		f.serve(keySet(600, k))
		time.Sleep(29 * time.Second)
		wantError(t, r, k.id, ErrKeysUnavailable)
		time.Sleep(2 * time.Second)
		wantKey(t, r, k)
		if since := time.Since(r.Fetched()); since != time.Second {
			t.Errorf("fetched %s ago", since)
		}
		if f.fetches() != 2 || !r.Available() {
			t.Errorf("%d fetches", f.fetches())
		}
	})
}

func TestFloodOfUnknownKeysFetchesOncePerThirtySeconds(t *testing.T) {
	k := mustGenerate(t, "ES256")
	inBubble(t, keySet(3600, k), func(t *testing.T, r *Remote, f *fakeIssuer) {
		wantKey(t, r, k)
		for i := range 10_000 {
			wantError(t, r, "unknown"+strconv.Itoa(i), ErrUnknownKey)
		}
		time.Sleep(29 * time.Second)
		if f.fetches() != 1 {
			t.Fatalf("%d fetches within 30 s", f.fetches())
		}
		for i := range 600 { // one minute of it
			wantError(t, r, "unknown"+strconv.Itoa(i), ErrUnknownKey)
			time.Sleep(100 * time.Millisecond)
		}
		if f.fetches() != 3 {
			t.Fatalf("%d fetches in 89 s", f.fetches())
		}
		time.Sleep(31 * time.Second)
		before := f.fetches()
		time.Sleep(20 * time.Minute)
		if f.fetches() != before {
			t.Errorf("%d fetches after the flood", f.fetches()-before)
		}
	})
}

func TestNewKeyIsFoundWithinThirtySeconds(t *testing.T) {
	old, fresh := mustGenerate(t, "ES256"), mustGenerate(t, "ES256")
	inBubble(t, keySet(3600, old), func(t *testing.T, r *Remote, f *fakeIssuer) {
		first := wantKey(t, r, old)
		time.Sleep(time.Minute)
		f.serve(keySet(3600, old, fresh))
		wantError(t, r, fresh.id, ErrUnknownKey)
		synctest.Wait() // the last fetch is long ago, so this one is made at once
		time.Sleep(time.Millisecond)
		wantKey(t, r, fresh)
		if wantKey(t, r, old) != first {
			t.Error("an unchanged key is another pointer after the refresh")
		}
	})
}

func TestSetIsPrefetchedBeforeItExpires(t *testing.T) {
	k := mustGenerate(t, "ES256")
	for _, c := range []struct {
		maxAge int
		want   time.Duration
	}{
		{600, 450 * time.Second},
		{0, 45 * time.Second},
		{-1, 45 * time.Second},
		{1 << 40, 45 * time.Minute},
	} {
		inBubble(t, keySet(c.maxAge, k), func(t *testing.T, r *Remote, f *fakeIssuer) {
			wantKey(t, r, k)
			time.Sleep(c.want - time.Second)
			if f.fetches() != 1 {
				t.Errorf("max-age=%d: fetched too early", c.maxAge)
			}
			time.Sleep(2 * time.Second)
			if f.fetches() != 2 {
				t.Errorf("max-age=%d: %d fetches after %s", c.maxAge, f.fetches(), c.want)
			}
		})
	}
}

func TestRemovedKeyIsGoneWithTheRefresh(t *testing.T) {
	a, b := mustGenerate(t, "ES256"), mustGenerate(t, "EdDSA")
	inBubble(t, keySet(600, a, b), func(t *testing.T, r *Remote, f *fakeIssuer) {
		wantKey(t, r, a)
		f.serve(keySet(600, b))
		time.Sleep(451 * time.Second)
		wantError(t, r, a.id, ErrUnknownKey)
		wantKey(t, r, b)
		f.serve(body(200, `{"keys":[]}`, "max-age=600"))
		time.Sleep(451 * time.Second)
		wantError(t, r, b.id, ErrUnknownKey)
	})
}

func TestReplacedKeyOfTheSameIDTakesOver(t *testing.T) {
	a, b := mustGenerate(t, "ES256"), mustGenerate(t, "ES256")
	b.id = a.id
	inBubble(t, keySet(600, a), func(t *testing.T, r *Remote, f *fakeIssuer) {
		wantKey(t, r, a)
		f.serve(keySet(600, b))
		time.Sleep(451 * time.Second)
		wantKey(t, r, b)
	})
}

func TestLastGoodSetIsUsedForABoundedTime(t *testing.T) {
	k := mustGenerate(t, "ES256")
	for _, c := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
	}{
		{"down", down}, {"hanging", hang}, {"500", body(500, "", "")}, {"HTML", body(200, "<!doctype html>", "")},
		{"no set", body(200, "{}", "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, keySet(600, k), func(t *testing.T, r *Remote, f *fakeIssuer) {
				wantKey(t, r, k)
				f.serve(c.answer)
				time.Sleep(23*time.Hour + 59*time.Minute)
				if got, err := r.Key(t.Context(), k.id); err != nil || got == nil {
					t.Fatalf("%s: %v within the time", c.name, err)
				}
				time.Sleep(2 * time.Minute)
				wantError(t, r, k.id, ErrKeysUnavailable)
				if r.Available() {
					t.Errorf("%s: available", c.name)
				}
				f.serve(keySet(600, k))
				time.Sleep(36 * time.Second)
				wantKey(t, r, k)
			})
		})
	}
}

func TestRunEndsWithItsContextDuringAFetch(t *testing.T) {
	inBubble(t, hang, func(t *testing.T, r *Remote, f *fakeIssuer) {
		synctest.Wait()
		if f.fetches() != 1 {
			t.Error("no fetch under way")
		}
	})
}

func TestObserverIsToldOfEveryFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := mustGenerate(t, "ES256")
		f := &fakeIssuer{answer: down}
		var told []Fetch
		r := &Remote{
			Issuer: "idp", JWKSURL: "https://idp.example.com/jwks.json", Transport: f,
			Observe: func(f Fetch) { told = append(told, f) },
		}
		ctx, cancel := context.WithCancel(t.Context())
		go r.Run(ctx)
		synctest.Wait()
		f.serve(keySet(600, k))
		time.Sleep(31 * time.Second)
		cancel()
		synctest.Wait()
		if len(told) != 2 || told[0].Err == nil || told[0].Next != 30*time.Second ||
			told[1].Err != nil || told[1].Keys != 1 || told[1].Next != 450*time.Second {
			t.Errorf("%+v", told)
		}
	})
}

func TestPublishedKeysThatAreIgnored(t *testing.T) {
	es, twin, other := mustGenerate(t, "ES256"), mustGenerate(t, "ES256"), mustGenerate(t, "EdDSA")
	twin.id = es.id
	jwkOf := func(k *Key, members string) string {
		j, _ := decodeJSONObject([]byte(strings.TrimSuffix(strings.TrimPrefix(string(marshalJWKS([]*Key{k})),
			`{"keys":[`), "]}")))
		text := `{"kid":` + string(j["kid"]) + `,"kty":` + string(j["kty"]) + `,"crv":` + string(j["crv"]) + `,"x":` +
			string(j["x"])
		if j.has("y") {
			text += `,"y":` + string(j["y"])
		}
		return text + members + "}"
	}
	good := jwkOf(other, "")
	r := &Remote{Issuer: "idp", Algorithms: []string{"ES256", "EdDSA"}}
	for _, c := range []struct{ name, set, want string }{
		{"for encryption", jwkOf(es, `,"use":"enc"`), `use is "enc"`},
		{"key_ops", jwkOf(es, `,"key_ops":["encrypt"]`), "neither verify nor sign"},
		{"unknown type", `{"kty":"AKP","kid":"a"}`, `kty "AKP"`},
		{
			"secret", `{"kty":"oct","kid":"a","k":"` + strings.Repeat("Q0FOQVJZ", 6) + `"}`,
			"published with its secret part",
		},
		{"secret without bytes", `{"kty":"oct","kid":"a"}`, `"k" is missing`},
		{"private key", privateJWK(es), "published with its secret part"},
		{"no kid", strings.Replace(jwkOf(es, ""), `"kid"`, `"id"`, 1), "key id is empty"},
		{"alg that is not allowed", jwkOf(es, `,"alg":"ES384"`), `alg "ES384" is not one of the allowed`},
		{"alg none", jwkOf(es, `,"alg":"none"`), `alg "none" is not one of the allowed`},
		{"alg HS256", jwkOf(es, `,"alg":"HS256"`), `alg "HS256" is not one of the allowed`},
		{"alg of another kind", jwkOf(es, `,"alg":"EdDSA"`), "EdDSA does not fit"},
		{
			"kind without an allowed algorithm",
			strings.TrimSuffix(string(marshalJWKS([]*Key{mustGenerate(t, "RS256")}))[len(`{"keys":[`):], "]}"),
			`alg "RS256" is not one`,
		},
		{"no object", `"x"`, "not a JSON object"},
		{
			"different keys of one id", jwkOf(es, "") + "," + jwkOf(twin, ""),
			"is shared by different keys, none of which is used",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := decodeKeySet([]byte(`{"keys":[` + c.set + "," + good + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			keys, ignored := r.usable(set)
			if len(keys) != 1 || !keys[other.id].Equal(other) {
				t.Errorf("used: %v", keys)
			}
			if len(ignored) != 1 || !strings.Contains(ignored[0], c.want) || strings.Contains(ignored[0], "Q0FO") {
				t.Errorf("ignored: %q, want %q", ignored, c.want)
			}
		})
	}
	set, _ := decodeKeySet([]byte(`{"keys":[` + good + "," + good + `]}`))
	if keys, ignored := r.usable(set); len(keys) != 1 || len(ignored) != 0 {
		t.Errorf("the same key twice: %v, %v", keys, ignored)
	}
}

func TestPublishedKeyIsPinnedToOneAlgorithm(t *testing.T) {
	rs := mustGenerate(t, "RS256")
	enc := newPublicJWK(rs.public)
	for _, c := range []struct {
		allowed   []string
		alg, want string
	}{
		{nil, "", "RS256"},
		{nil, "PS384", "PS384"},
		{[]string{"ES256", "PS256", "RS256"}, "", "PS256"},
		{[]string{"ES256", "PS256", "RS256"}, "RS256", "RS256"},
		{[]string{"ES256", "PS256"}, "RS256", ""},
		{[]string{"ES256"}, "", ""},
	} {
		r := publication{algorithms: c.allowed}
		text := `{"kty":"RSA","kid":"a","n":"` + enc.Modulus + `","e":"` + enc.Exponent + `"`
		if c.alg != "" {
			text += `,"alg":"` + c.alg + `"`
		}
		k, err := r.publishedKey([]byte(text + "}"))
		if (err == nil) != (c.want != "") || err == nil && k.Algorithm() != c.want {
			t.Errorf("%v %q: %v, %v", c.allowed, c.alg, k, err)
		}
	}
}

func TestRemotesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		r    *Remote
		want string
	}{
		{&Remote{}, "issuer: is empty"},
		{&Remote{Issuer: "idp"}, `issuer "idp": discovery: "idp" has no host`},
		{&Remote{Issuer: "http://idp.example.com"}, "is not https"},
		{&Remote{Issuer: "https://idp.example.com?x=1"}, "no query and no fragment"},
		{&Remote{Issuer: "https://u:CANARY@idp.example.com"}, "a user name in the URL"},
		{&Remote{Issuer: "idp", JWKSURL: "http://idp.example.com/jwks"}, "is not https"},
		{&Remote{Issuer: "idp", JWKSURL: "http://127.0.0.1.example.com/jwks"}, "is not https"},
		{&Remote{Issuer: "idp", JWKSURL: "file:///etc/passwd"}, "has no host"},
		{&Remote{Issuer: "idp", JWKSURL: "file://localhost/etc/passwd"}, "is not https"},
		{
			&Remote{Issuer: "idp", JWKSURL: "https://idp.example.com", Algorithms: []string{"HS256"}},
			"needs a shared secret",
		},
		{
			&Remote{Issuer: "idp", JWKSURL: "https://idp.example.com", Algorithms: []string{"none"}},
			`unknown algorithm "none"`,
		},
		{&Remote{Issuer: "idp", JWKSURL: "https://idp.example.com", StaleFor: -1}, "is negative"},
	} {
		err := c.r.Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %q: got %v, want %q", c.r.Issuer, c.r.JWKSURL, err, c.want)
		}
	}
	for _, address := range []string{
		"https://idp.example.com/x?y=1", "http://localhost:80/x", "http://[::1]/x", "http://127.0.0.9:1/",
		"https://10.0.0.5/jwks",
	} {
		if err := (&Remote{Issuer: "idp", JWKSURL: address}).Validate(); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestKeysLifeFollowsCacheControl(t *testing.T) {
	for _, c := range []struct {
		header http.Header
		want   time.Duration
	}{
		{http.Header{}, 15 * time.Minute},
		{http.Header{"Cache-Control": {"public, max-age=1200, must-revalidate"}}, 20 * time.Minute},
		{http.Header{"Cache-Control": {"public", `Max-Age="1200"`}}, 20 * time.Minute},
		{http.Header{"Cache-Control": {"max-age=1200"}, "Age": {"600"}}, 10 * time.Minute},
		{http.Header{"Cache-Control": {"max-age=21600"}, "Age": {"600"}}, time.Hour},
		{http.Header{"Cache-Control": {"max-age=1200"}, "Age": {"9999999999999"}}, 20 * time.Minute},
		{http.Header{"Cache-Control": {"max-age=99999999999999999999"}}, 15 * time.Minute},
		{http.Header{"Cache-Control": {"max-age=9000000000000000000"}}, time.Hour},
		{http.Header{"Cache-Control": {"max-age=x"}}, 15 * time.Minute},
		{http.Header{"Cache-Control": {"no-store, max-age=1200"}}, time.Minute},
		{http.Header{"Cache-Control": {"max-age=1"}}, time.Minute},
	} {
		if got := keysLife(c.header); got != c.want {
			t.Errorf("%v: %s, want %s", c.header, got, c.want)
		}
	}
}

func TestDiscoveryAsksOpenIDFirst(t *testing.T) {
	k := mustGenerate(t, "ES256")
	const issuer = "https://idp.example.com/tenant"
	doc := `{"issuer":"` + issuer + `","jwks_uri":"https://keys.example.net/k"}`
	for _, c := range []struct {
		name   string
		serves map[string]string
		asked  []string
		want   string
	}{
		{
			"OpenID", map[string]string{"/tenant/.well-known/openid-configuration": doc},
			[]string{"/tenant/.well-known/openid-configuration", "/k"}, "",
		},
		{
			"RFC 8414", map[string]string{"/.well-known/oauth-authorization-server/tenant": doc},
			[]string{
				"/tenant/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/tenant", "/k",
			},
			"",
		},
		{"neither", nil, nil, "answered 404"},
		{
			"another issuer",
			map[string]string{"/tenant/.well-known/openid-configuration": strings.Replace(doc, issuer, issuer+"/", 1)},
			nil, `the document is of issuer "https://idp.example.com/tenant/"`,
		},
		{
			"no jwks_uri", map[string]string{"/tenant/.well-known/openid-configuration": `{"issuer":"` + issuer + `"}`},
			nil, "jwks_uri: \"\" has no host",
		},
		{
			"jwks_uri on this machine",
			map[string]string{
				"/tenant/.well-known/openid-configuration": strings.Replace(doc, "https://keys.example.net",
					"http://localhost:8080", 1),
			},
			nil, "leads to this machine",
		},
		{
			"jwks_uri without TLS",
			map[string]string{
				"/tenant/.well-known/openid-configuration": strings.Replace(doc, "https://keys", "http://keys", 1),
			},
			nil, "is not https",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeIssuer{answer: func(req *http.Request) (*http.Response, error) {
				if req.URL.String() == "https://keys.example.net/k" {
					return keySet(600, k)(req)
				}
				if text := c.serves[req.URL.Path]; text != "" {
					return body(200, text, "")(req)
				}
				return body(404, "", "")(req)
			}}
			r := &Remote{Issuer: issuer, Transport: f}
			set, err := r.fetch(t.Context())
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				return
			}
			if err != nil || len(set.keys) != 1 || !slices.Equal(f.asked, c.asked) {
				t.Errorf("%v, asked %q", err, f.asked)
			}
		})
	}
}
