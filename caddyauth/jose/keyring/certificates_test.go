package keyring

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// certified is a JWK with a certificate of its own, and the certificate's thumbprint.
func certified(t *testing.T) (jwk, thumbprint string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	public, err := json.Marshal(newPublicJWK(key.Public()))
	if err != nil || json.Unmarshal(public, &members) != nil {
		t.Fatal(err)
	}
	members["x5c"] = []string{base64.StdEncoding.EncodeToString(der)}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return string(text), base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestCertificatesOfASet(t *testing.T) {
	first, one := certified(t)
	second, two := certified(t)
	bare := string(marshalJWKS([]*Key{mustGenerate(t, "ES256")}))
	bare = strings.TrimSuffix(strings.TrimPrefix(bare, `{"keys":[`), "]}")
	_, x5c, _ := strings.Cut(second, `"x5c":`)
	x5c, _, _ = strings.Cut(x5c, "]")
	foreign := strings.TrimSuffix(bare, "}") + `,"x5c":` + x5c + "]}" // of another key
	for _, c := range []struct {
		name, keys string
		has        []string
		bad        string
	}{
		{"one", first, []string{one}, ""},
		{"two", first + "," + second, []string{one, two}, ""},
		{"one beside a bare key", bare + "," + first, []string{one}, ""},
		{"a bare key", bare, nil, "key 1: has no x5c"},
		{"of another key", foreign, nil, "x5c is of another key"},
		{"base64url", strings.Replace(first, `"x5c":["M`, `"x5c":["-`, 1), nil, "not base64"},
		{"no certificate", strings.Replace(first, `"x5c":["`, `"x5c":["AAAA`, 1), nil, "not a certificate"},
		{"an empty chain", strings.TrimSuffix(bare, "}") + `,"x5c":[]}`, nil, "no x5c"},
		{"with its secret part", strings.TrimSuffix(first, "}") + `,"d":"AA"}`, nil, "published with its secret part"},
		{"nothing", "", nil, "no usable certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := ParseCertificates([]byte(`{"keys":[` + c.keys + `]}`))
			if c.bad != "" {
				if err == nil || !strings.Contains(err.Error(), c.bad) {
					t.Errorf("%v, want %q", err, c.bad)
				}
				return
			}
			if err != nil || len(set.certificates) != len(c.has) || set.HasCertificate("") {
				t.Fatalf("%v, %v", set, err)
			}
			for _, thumbprint := range c.has {
				if !set.HasCertificate(thumbprint) {
					t.Errorf("it has no %s", thumbprint)
				}
			}
		})
	}
}

// A set of certificates is fetched as one of keys is: at once for one that is not in it, and not twice
// within 30 seconds. One that was fetched for its keys says nothing of certificates.
func TestPublishedCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, one := certified(t)
		second, two := certified(t)
		f := &fakeIssuer{answer: body(200, `{"keys":[`+first+`]}`, "max-age=300")}
		p := &Published{Sets: new(PublishedSets), Transport: f}
		from := ofClient
		from.Certificates = true
		has := func(thumbprint string, want bool, fetches int) {
			t.Helper()
			got, err := p.HasCertificate(t.Context(), from, thumbprint)
			if err != nil || got != want || f.fetches() != fetches {
				t.Errorf("%v, %v after %d fetches, want %v after %d", got, err, f.fetches(), want, fetches)
			}
		}
		if _, err := p.Key(t.Context(), ofClient, ""); err != nil {
			t.Error(err)
		}
		has(one, true, 2)
		has(one, true, 2)
		f.serve(body(200, `{"keys":[`+first+`,`+second+`]}`, "max-age=300"))
		has(two, true, 3)
		has("other", false, 3)
		time.Sleep(30 * time.Second)
		has("other", false, 4)
		f.serve(down)
		time.Sleep(25 * time.Hour)
		if _, err := p.HasCertificate(t.Context(), from, one); !errors.Is(err, ErrKeysUnavailable) {
			t.Errorf("%v", err)
		}
	})
}
