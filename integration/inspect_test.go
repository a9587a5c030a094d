package integration

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// TestInspectOpaqueToken: what a token stands for that says nothing itself.
func TestInspectOpaqueToken(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	auth := strings.TrimSuffix(authorizeAuth, "}") + `
	client opaque {
		redirect_uri ` + rpCallback + `
		secret ` + rpSecret + `
		scope openid read
		consent off
		access_token_format opaque
	}
}`
	x.load(auth, authorizeSites)
	v := x.visitor(t)
	code := v.code(v.signIn(v.get(request(t, "client_id=opaque")), "alice", alicePassword))
	held := x.token(t, "opaque", rpSecret, "", codeForm(code))
	_, errs, err := command(held.Access, "token", "inspect")
	if err == nil || !strings.Contains(errs, "opaque access token") || !strings.Contains(errs, "--config") {
		t.Errorf("without a configuration: %v %s", err, errs)
	}
	config := x.configFile(auth, authorizeSites)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"Claims .verified.", `sub +"alice"`, `client_id +"opaque"`, `scope +"openid read"`, "Verified"}},
		{[]string{"--json"}, []string{`"header": null`, `"sub": "alice"`, `"exp": [0-9]{10}`, `"verified": true`}},
	} {
		out, errs, err := command(held.Access, append([]string{"token", "inspect", "--config", config}, c.args...)...)
		for _, want := range c.want {
			if !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("%q does not say %s: %v %s%s", c.args, want, err, errs, out)
			}
		}
	}
}

// TestInspectSaysWhatATokenIs: whoever has found something that is no access token is told what it is, also
// by `explain`.
func TestInspectSaysWhatATokenIs(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	held := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
	signed := x.introspect(t, "rp", held.Access, "Accept: application/token-introspection+jwt")
	key, err := keyring.Generate("ES256", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := token.Sign(key, "JWT", map[string]any{"iss": "rp", "sub": "rp", "aud": x.url("auth")})
	if err != nil {
		t.Fatal(err)
	}
	proof := dpoptest.New(t, "ES256").Proof(t, "POST", x.url("auth")+"/token", "", time.Now(), nil)
	for _, c := range []struct{ name, raw, want string }{
		{"refresh token", held.Refresh, "this is a refresh token"},
		{"code", v.code(v.get(request(t, ""))), "this is an authorization code"},
		{"device code", x.device(t, "tv", "").Device, "this is a device code"},
		{"client secret", rpSecret, "this is a client secret"},
		{"pushed request", x.push(t, "rp", ""), "this is the request_uri of a pushed request"},
		{"ID token", held.ID, "this is an ID token"},
		{"introspection", signed.body, "this is an answer of /introspect"},
		{"proof", proof, "this is a DPoP proof"},
		{"assertion", assertion, "this looks like a client assertion"},
		{"access token", held.Access, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, args := range [][]string{{"token", "inspect"}, {"token", "inspect", "--json"}} {
				out, errs, _ := command(c.raw, args...)
				if said := out + errs; c.want != "" && !strings.Contains(said, c.want) ||
					c.want == "" && strings.Contains(said, "no gate takes it") {
					t.Errorf("%q: %s", args, said)
				}
			}
		})
	}
}
