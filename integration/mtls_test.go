package integration

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
)

// TestClientCertificates: clients that authenticate with the certificate of their TLS connection, and
// tokens that are worth nothing over another connection (RFC 8705).
func TestClientCertificates(t *testing.T) {
	x := newMutualTLS(t)
	t.Run("metadata", x.metadata)
	t.Run("authentication", x.authentication)
	t.Run("at the gate", x.atTheGate)
	t.Run("another issuer", x.ofAnotherIssuer)
	t.Run("introspection", x.introspection)
	t.Run("token exchange", x.tokenExchange)
	t.Run("refresh tokens", x.refreshTokens)
	t.Run("with DPoP", x.withDPoP)
}

func (x *mutualTLS) metadata(t *testing.T) {
	a := x.send(t, x.client(""), "GET", x.at("verified", "/.well-known/openid-configuration"), "")
	var said struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
		Bound   bool     `json:"tls_client_certificate_bound_access_tokens"`
	}
	if err := json.Unmarshal([]byte(a.body), &said); err != nil || !said.Bound ||
		!slices.Contains(said.Methods, "tls_client_auth") ||
		!slices.Contains(said.Methods, "self_signed_tls_client_auth") {
		t.Errorf("%d %s %v", a.status, a.body, err)
	}
}

// cnf is what an answer of /introspect says that a token is bound to.
func (x *mutualTLS) cnf(t *testing.T, raw string) (cnf map[string]any, kind string) {
	t.Helper()
	form := url.Values{"token": {raw}, "client_id": {"rp"}, "client_secret": {rpSecret}}.Encode()
	a := x.send(t, http.DefaultClient, "POST", x.at("auth", "/introspect"), form)
	var said struct {
		Active bool           `json:"active"`
		Kind   string         `json:"token_type"`
		Cnf    map[string]any `json:"cnf"`
	}
	if err := json.Unmarshal([]byte(a.body), &said); err != nil || !said.Active {
		t.Fatalf("%d %s %v", a.status, a.body, err)
	}
	return said.Cnf, said.Kind
}

func (x *mutualTLS) authentication(t *testing.T) {
	const denied = "invalid_client"
	withSecret := "&client_secret=" + rpSecret
	for _, c := range []struct {
		name, site, cert, client string
		status                   int    // 0: there is no connection
		want                     string // the error, or the certificate that the token is bound to
		hint                     string // in the log
	}{
		{"its certificate", "verified", "bank", "bank", 200, "bank", ""},
		{"another of the same name", "verified", "bank again", "bank", 200, "bank again", ""},
		{"none", "verified", "", "bank", 401, denied, "has no client certificate"},
		{"another authority", "verified", "forged", "bank", 0, "", ""},
		{"another authority, not verified", "asked", "forged", "bank", 401, denied, "was not verified"},
		{"its certificate, not verified", "asked", "bank", "bank", 401, denied, "needs a trust_pool"},
		{"another name", "verified", "other", "bank", 401, denied, "does not have the name"},
		{"expired", "verified", "expired", "bank", 0, "", ""},
		{"expired, not verified", "asked", "expired", "bank", 401, denied, "has expired"},
		{"without TLS", "auth", "", "bank", 401, denied, "has no client certificate"},
		{"with a secret besides", "verified", "bank", "bank" + withSecret, 401, denied, ""},
		{"one of two DNS names", "verified", "hosts", "host", 200, "", ""},
		{"no DNS name", "verified", "bank", "host", 401, denied, "does not have the name"},
		{"a URI, opaque tokens", "verified", "hosts", "sealed", 200, "hosts", ""},
		{"a client that has no certificate", "verified", "bank", "machine", 401, denied, ""},
		{"an unknown client", "verified", "bank", "nobody", 401, denied, ""},

		{"self-signed", "asked", "old", "self", 200, "old", ""},
		{"self-signed, its successor", "asked", "new", "self", 200, "new", ""},
		{"self-signed, another key", "asked", "stranger", "self", 401, denied, "is not among those"},
		{"self-signed, expired", "asked", "over", "self", 401, denied, "has expired"},
		{"self-signed, none", "asked", "", "self", 401, denied, "has no client certificate"},
		{"self-signed, of an authority", "verified", "bank", "self", 401, denied, "is not among those"},
		{"self-signed, where they are verified", "verified", "old", "self", 0, "", ""},
		{"self-signed, published", "asked", "new", "fetched", 200, "", ""},
		{"self-signed, not published", "asked", "old", "fetched", 401, denied, "is not among those"},

		{"a secret, bound", "asked", "stranger", "secretive" + withSecret, 200, "stranger", ""},
		{"a secret, no certificate", "asked", "", "secretive" + withSecret, 400, "invalid_request",
			"has no client certificate"},
		{"a secret, without TLS", "auth", "", "secretive" + withSecret, 400, "invalid_request", ""},
		{"a certificate for a secret", "asked", "stranger", "secretive", 401, denied, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(x.log())
			got, a := x.tokenOver(t, c.site, c.cert, "grant_type=client_credentials&client_id="+c.client,
				forgedCertificates...)
			refused := c.status >= 400 && got.Error != c.want
			if got.status != c.status || (c.status == 0) != (a.broken != nil) || refused {
				t.Fatalf("%d %s %v", a.status, a.body, a.broken)
			}
			if strings.Contains(a.body, "certificate") && got.status == 401 {
				t.Errorf("the client is told why: %s", a.body)
			}
			if c.hint != "" && !strings.Contains(x.log()[before:], c.hint) {
				t.Errorf("the log does not say %q: %s", c.hint, x.log()[before:])
			}
			if c.status != 200 {
				return
			}
			cnf, kind := x.cnf(t, got.Access)
			var want map[string]any
			if c.want != "" {
				want = map[string]any{"x5t#S256": x5t(x.certs[c.want])}
			}
			if !maps.Equal(cnf, want) {
				t.Errorf("bound to %v, want %v", cnf, want)
			}
			if kind != "Bearer" || !strings.Contains(a.body, `"token_type":"Bearer"`) {
				t.Errorf("%s, %s", kind, a.body)
			}
		})
	}
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("bank:"))
	if got, _ := x.tokenOver(t, "verified", "bank", "grant_type=client_credentials", basic); got.status != 401 {
		t.Errorf("an empty secret: %+v", got)
	}
}

// forgedCertificates are headers in which proxies pass certificates on.
var forgedCertificates = []string{
	"X-Client-Cert: forged", "X-SSL-Client-Verify: SUCCESS", "X-SSL-Client-S-DN: CN=bank,O=Example",
	"Client-Cert: :Zm9yZ2Vk:", "X-Forwarded-Client-Cert: Subject=\"CN=bank\"",
}

// bound returns a token that is bound to the certificate of that name.
func (x *mutualTLS) bound(t *testing.T, client, cert string) string {
	t.Helper()
	got, a := x.tokenOver(t, "verified", cert, "grant_type=client_credentials&client_id="+client)
	if got.status != 200 {
		t.Fatalf("%d %s %v", a.status, a.body, a.broken)
	}
	return got.Access
}

func (x *mutualTLS) atTheGate(t *testing.T) {
	for _, format := range []struct{ name, client, cert string }{
		{"jwt", "bank", "bank"},
		{"opaque", "sealed", "hosts"},
	} {
		raw := x.bound(t, format.client, format.cert)
		plain := x.bound(t, "host", "hosts")
		for _, c := range []struct {
			name, site, cert, scheme, raw string
			want                          string // the reason; empty: the request passes
		}{
			{"its certificate", "verified", format.cert, "Bearer", raw, ""},
			{"its certificate, not verified", "asked", format.cert, "Bearer", raw, ""},
			{"no certificate", "verified", "", "Bearer", raw, "certificate_binding"},
			{"another of the same name", "verified", "bank again", "Bearer", raw, "certificate_binding"},
			{"another", "asked", "stranger", "Bearer", raw, "certificate_binding"},
			{"without TLS", "api", "", "Bearer", raw, "certificate_binding"},
			{"as DPoP", "verified", format.cert, "DPoP", raw, "dpop_binding"},
			{"a bearer token, without a certificate", "verified", "", "Bearer", plain, ""},
		} {
			t.Run(format.name+", "+c.name, func(t *testing.T) {
				x.proxy.take()
				a := x.send(t, x.client(c.cert), "GET", x.at(c.site, "/x"), "",
					append([]string{"Authorization: " + c.scheme + " " + c.raw}, forgedCertificates...)...)
				seen := x.proxy.take()
				if c.want == "" && (a.status != 200 || len(seen) != 1) ||
					c.want != "" && (a.status != 401 || a.reason(t) != c.want || len(seen) > 0) {
					t.Errorf("%d %s %v, the application saw %d requests", a.status, a.body, a.broken, len(seen))
				}
			})
		}
	}
	t.Run("resumed connections", x.resumed)
	t.Run("HTTP/2", x.http2)
}

// ofAnotherIssuer: a trusted issuer may bind its tokens to certificates, and in no other way.
func (x *mutualTLS) ofAnotherIssuer(t *testing.T) {
	bank := x5t(x.certs["bank"])
	for _, c := range []struct {
		name, site, cert string
		cnf              map[string]any
		want             string
	}{
		{"its certificate", "verified", "bank", map[string]any{"x5t#S256": bank}, ""},
		{"another", "verified", "other", map[string]any{"x5t#S256": bank}, "certificate_binding"},
		{"none", "verified", "", map[string]any{"x5t#S256": bank}, "certificate_binding"},
		{"without TLS", "api", "", map[string]any{"x5t#S256": bank}, "unknown_issuer"},
		{"a key besides", "verified", "bank", map[string]any{"x5t#S256": bank, "jkt": bank}, "wrong_type"},
		{"something unknown besides", "verified", "bank", map[string]any{"x5t#S256": bank, "x": "y"}, "wrong_type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := x.tokens.mintHeader(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "f-rs"}, "rs1", "carol",
				map[string]any{"iss": x.foreign.issuer("/good"), "project": nil, "client_id": nil, "cnf": c.cnf})
			a := x.send(t, x.client(c.cert), "GET", x.at(c.site, "/x"), "", "Authorization: Bearer "+raw)
			if c.want == "" && a.status != 200 || c.want != "" && (a.status != 401 || a.reason(t) != c.want) {
				t.Errorf("%d %s %v", a.status, a.body, a.broken)
			}
		})
	}
}

// resumed: Caddy gives no session tickets to connections with client certificates, and a program that
// would use them has its certificate on the next connection, too.
func (x *mutualTLS) resumed(t *testing.T) {
	raw, client := x.bound(t, "bank", "bank"), x.client("bank")
	client.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for i := range 2 {
		a := x.send(t, client, "GET", x.at("verified", "/x"), "", "Authorization: Bearer "+raw)
		if a.status != 200 {
			t.Errorf("request %d: %d %s %v", i, a.status, a.body, a.broken)
		}
	}
}

func (x *mutualTLS) tokenOverClient(t *testing.T, client *http.Client, form string) (tokenAnswer, answer) {
	t.Helper()
	a := x.send(t, client, "POST", x.at("verified", "/token"), form)
	got := tokenAnswer{status: a.status}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	x.tokens.remember(got.Access)
	return got, a
}

func (x *mutualTLS) http2(t *testing.T) {
	client := x.client("bank")
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	got, _ := x.tokenOverClient(t, client, "grant_type=client_credentials&client_id=bank")
	a := x.send(t, client, "GET", x.at("verified", "/x"), "", "Authorization: Bearer "+got.Access)
	if a.status != 200 {
		t.Errorf("%d %s %v", a.status, a.body, a.broken)
	}
	other := x.client("other")
	other.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	a = x.send(t, other, "GET", x.at("verified", "/x"), "", "Authorization: Bearer "+got.Access)
	if a.status != 401 || a.reason(t) != "certificate_binding" {
		t.Errorf("another certificate: %d %s %v", a.status, a.body, a.broken)
	}
}

// introspection: who authenticates with a certificate may ask, and a public client with one may not.
func (x *mutualTLS) introspection(t *testing.T) {
	raw := x.bound(t, "bank", "bank")
	for _, c := range []struct {
		name, cert, client string
		status             int
	}{
		{"with a certificate", "hosts", "sealed", 200},
		{"without", "", "sealed", 401},
		{"a public client", "bank", "page", 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			form := url.Values{"token": {raw}, "client_id": {c.client}}.Encode()
			a := x.send(t, x.client(c.cert), "POST", x.at("verified", "/introspect"), form)
			if a.status != c.status || c.status == 200 && !strings.Contains(a.body, `"active":true`) {
				t.Errorf("%d %s %v", a.status, a.body, a.broken)
			}
		})
	}
}

// tokenExchange: nobody proves the certificate of a subject token, so one that is bound is not taken.
func (x *mutualTLS) tokenExchange(t *testing.T) {
	for client, want := range map[string]int{"bank": 400, "host": 200} {
		cert := map[string]string{"bank": "bank", "host": "hosts"}[client]
		form := url.Values{
			"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token":      {x.bound(t, client, cert)},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
			"client_id":          {"host"},
		}.Encode()
		if got, a := x.tokenOver(t, "verified", "hosts", form); got.status != want {
			t.Errorf("of %s: %d %s", client, a.status, a.body)
		}
	}
}

// refreshTokens: those of public clients belong to the certificate, those of others to the client (RFC
// 8705, sections 4 and 6.3).
func (x *mutualTLS) refreshTokens(t *testing.T) {
	v := x.visitor(t)
	v.signIn(v.get(request(t, "")), "alice", alicePassword)
	for _, c := range []struct {
		client, first, second string
		status                int
	}{
		{"bank", "bank", "bank again", 200},
		{"bank", "bank", "", 401},
		{"page", "bank", "bank", 200},
		{"page", "bank", "bank again", 400},
		{"page", "bank", "", 400},
	} {
		t.Run(c.client+" with "+c.second, func(t *testing.T) {
			v := v.in(t)
			code := codeForm(v.code(v.get(request(t, "client_id="+c.client))))
			code.Set("client_id", c.client)
			if got, _ := x.tokenOver(t, "verified", "", code.Encode()); got.status == 200 {
				t.Errorf("a code without a certificate: %+v", got)
			}
			first, a := x.tokenOver(t, "verified", c.first, code.Encode())
			if first.status != 200 || first.Refresh == "" {
				t.Fatalf("%d %s %v", a.status, a.body, a.broken)
			}
			x.checkUserInfo(t, first.Access, c.first)
			second, a := x.tokenOver(t, "verified", c.second,
				"grant_type=refresh_token&client_id="+c.client+"&refresh_token="+first.Refresh)
			if second.status != c.status {
				t.Fatalf("%d %s %v", a.status, a.body, a.broken)
			}
			if c.status == 200 {
				if cnf, _ := x.cnf(t, second.Access); cnf["x5t#S256"] != x5t(x.certs[c.second]) {
					t.Errorf("bound to %v", cnf)
				}
			}
		})
	}
}

// checkUserInfo asks /userinfo over connections with several certificates.
func (x *mutualTLS) checkUserInfo(t *testing.T, access, cert string) {
	t.Helper()
	for name, want := range map[string]int{cert: 200, "other": 401, "": 401} {
		a := x.send(t, x.client(name), "GET", x.at("verified", "/userinfo"), "", "Authorization: Bearer "+access)
		challenge := a.header.Get("WWW-Authenticate")
		if a.status != want || want == 401 && !strings.Contains(challenge, `error="invalid_token"`) {
			t.Errorf("/userinfo over a connection of %q: %d %s %v", name, a.status, a.body, a.header)
		}
	}
}

// withDPoP: a token that is bound to both needs both.
func (x *mutualTLS) withDPoP(t *testing.T) {
	key, other := dpoptest.New(t, "ES256"), dpoptest.New(t, "ES256")
	form := "grant_type=client_credentials&client_id=both"
	proof := func(k *dpoptest.Client, method, address, access string) string {
		return "DPoP: " + k.Proof(t, method, address, access, time.Now(), nil)
	}
	token := x.url("auth") + "/token" // as the metadata has it
	if got, _ := x.tokenOver(t, "verified", "bank", form); got.Error != "invalid_dpop_proof" {
		t.Errorf("without a proof: %+v", got)
	}
	if got, _ := x.tokenOver(t, "verified", "", form, proof(key, "POST", token, "")); got.Error != "invalid_client" {
		t.Errorf("without a certificate: %+v", got)
	}
	got, a := x.tokenOver(t, "verified", "bank", form, proof(key, "POST", token, ""))
	if got.status != 200 || !strings.Contains(a.body, `"token_type":"DPoP"`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	cnf, kind := x.cnf(t, got.Access)
	if kind != "DPoP" || len(cnf) != 2 || cnf["jkt"] != key.Thumbprint || cnf["x5t#S256"] != x5t(x.certs["bank"]) {
		t.Errorf("%s %v", kind, cnf)
	}
	for _, c := range []struct {
		name, cert, scheme string
		key                *dpoptest.Client
		want               string
	}{
		{"both", "bank", "DPoP", key, ""},
		{"another certificate", "other", "DPoP", key, "certificate_binding"},
		{"no certificate", "", "DPoP", key, "certificate_binding"},
		{"another key", "bank", "DPoP", other, "dpop_binding"},
		{"no proof", "bank", "Bearer", key, "dpop_required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := x.at("verified", "/x")
			a := x.send(t, x.client(c.cert), "GET", address, "",
				"Authorization: "+c.scheme+" "+got.Access, proof(c.key, "GET", address, got.Access))
			if c.want == "" && a.status != 200 || c.want != "" && (a.status != 401 || a.reason(t) != c.want) {
				t.Errorf("%d %s %v", a.status, a.body, a.broken)
			}
		})
	}
}
