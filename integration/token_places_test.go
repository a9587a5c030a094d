package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// place is where a token is read: what it says to one of each kind.
type place struct {
	name string
	say  func(t *testing.T, m *mixing, raw string) string

	refused string // to all kinds but these
	others  []cells
	good    cells // what it is for; said last, so that nothing before has used it up
}

// cells are kinds that are told the same.
type cells struct {
	word  string
	kinds []string
}

// refusalOf is the status of an answer, and its reason or else its error word.
func refusalOf(a answer) string {
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal([]byte(a.body), &body)
	if body.Description != "" && !strings.Contains(body.Description, " ") {
		body.Error = body.Description
	}
	return strings.TrimSpace(strconv.Itoa(a.status) + " " + body.Error)
}

// bearerAt presents a token as a bearer.
func bearerAt(site, target string) func(*testing.T, *mixing, string) string {
	return func(t *testing.T, m *mixing, raw string) string { return refusalOf(m.get(t, site, target, raw)) }
}

// cookieAt presents a token as a cookie.
func cookieAt(site, target, name string) func(*testing.T, *mixing, string) string {
	return func(t *testing.T, m *mixing, raw string) string {
		return refusalOf(m.ask(t, site, call{target: target, lines: []string{"Cookie: " + name + "=" + raw}}))
	}
}

// formAt presents a token as a parameter of a form. The pairs are parameters besides.
func formAt(target, field string, pairs ...string) func(*testing.T, *mixing, string) string {
	return func(t *testing.T, m *mixing, raw string) string {
		a := m.sends(t, "auth", target, withPairs(url.Values{field: {raw}}, pairs...))
		if target == "/introspect" && a.status == http.StatusOK {
			return fmt.Sprintf("200 %v", membersOf(t, a)["active"])
		}
		return refusalOf(a)
	}
}

// visitWith opens an address as the browser of alice, who is signed in, or, if a cookie is named, as one
// whose only cookie is the token.
func visitWith(cookie string, address func(t *testing.T, m *mixing, raw string) string) func(
	*testing.T, *mixing, string) string {
	return func(t *testing.T, m *mixing, raw string) string {
		if cookie == "" {
			return shown(m.browser.in(t).get(address(t, m, raw)))
		}
		return shown(m.visitor(t).do("GET", address(t, m, raw), "", "", "Cookie: "+cookie+"="+raw))
	}
}

// shown is the status of a page and what it says, or where it leads.
func shown(p page) string {
	word := strconv.Itoa(p.status)
	if p.leads() {
		query := p.location.Query()
		if query.Has("code") {
			return word + " code"
		}
		return word + " " + query.Get("error")
	}
	if _, rest, found := strings.Cut(p.body, "<code>"); found {
		code, _, _ := strings.Cut(rest, "</code>")
		return word + " " + code
	}
	for _, sentence := range []string{"That is not a code", "You are not signed in", "The device asked"} {
		if strings.Contains(p.body, sentence) {
			return word + " " + sentence
		}
	}
	return word
}

// withoutPrompt is an authorization request that shows no page.
func withoutPrompt(t *testing.T, _ *mixing, _ string) string { return request(t, "prompt=none") }

// Kinds that several places treat alike.
var (
	// noAccessTokens are of the server's own, or of the issuer that it trusts, for something else.
	noAccessTokens = []string{
		"logout token", "session's refresh token", "refresh token", "ID token", "introspection answer",
		"identity assertion",
	}

	// accessTokens are for the audience api.
	accessTokens = []string{
		"access token of the login API", "access token of a code", "token of a client", "opaque token",
		"exchanged token",
	}

	strangers   = cells{"401 unknown_issuer", []string{"client assertion", "foreign access token"}}
	ofOtherKind = cells{"401 wrong_type", noAccessTokens}
	aProof      = cells{"401 unknown_key", []string{"DPoP proof"}}
)

// only is a place's answer to the one kind that it is for.
func only(kind, word string) cells { return cells{word, []string{kind}} }

var gatePlaces = []place{
	{
		"bearer at a gate", bearerAt("api", "/"), "401 malformed",
		[]cells{
			ofOtherKind, strangers, aProof, only("bound token", "401 dpop_required"),
			only("session cookie", "401 wrong_audience"),
		},
		cells{"200", accessTokens},
	},
	{
		"bearer at a gate for browsers", bearerAt("web", "/"), "401 malformed",
		[]cells{
			ofOtherKind, strangers, aProof, {"401 wrong_audience", accessTokens},
			only("bound token", "401 wrong_audience"),
		},
		only("session cookie", "200"),
	},
	{
		"bearer at a gate of another issuer", bearerAt("foreign", "/"), "401 malformed",
		[]cells{
			ofOtherKind, aProof, {"401 unknown_issuer", accessTokens},
			{"401 unknown_issuer", []string{"session cookie", "bound token", "client assertion"}},
		},
		only("foreign access token", "200"),
	},
	{
		"cookie at a gate", cookieAt("web", "/", "access_token"), "401 malformed",
		[]cells{
			ofOtherKind, strangers, aProof, {"401 wrong_audience", accessTokens},
			only("bound token", "401 wrong_type"),
		},
		only("session cookie", "200"),
	},
	{
		"refresh cookie at a gate", cookieAt("web", "/", "refresh_token"), "401 no_credential",
		nil, only("session's refresh token", "200"),
	},
	{
		"DPoP proof at a gate", func(t *testing.T, m *mixing, raw string) string {
			bound := m.kinds[slices.IndexFunc(m.kinds, func(k kind) bool { return k.name == "bound token" })].value
			return refusalOf(m.ask(t, "api", call{lines: []string{"Authorization: DPoP " + bound, "DPoP: " + raw}}))
		}, "401 invalid_dpop_proof",
		nil, only("DPoP proof", "200"),
	},
}

var endpointPlaces = []place{
	{
		"bearer at userinfo", bearerAt("auth", "/userinfo"), "401 invalid_token",
		[]cells{{"403 insufficient_scope", []string{
			"session cookie", "access token of the login API", "token of a client", "opaque token",
		}}},
		cells{"200", []string{"access token of a code", "exchanged token"}},
	},
	{
		"introspection", formAt("/introspect", "token", "client_id", "rp", "client_secret", rpSecret), "200 false",
		nil, cells{"200 true", append([]string{"session cookie", "bound token", "refresh token"}, accessTokens...)},
	},
	{
		"revocation by another client",
		formAt("/revoke", "token", "client_id", "other", "client_secret", rpSecret), "200",
		[]cells{
			{"400 invalid_grant", []string{
				"session cookie", "session's refresh token", "refresh token", "bound token",
			}},
			{"400 invalid_grant", accessTokens},
		},
		cells{},
	},
	{
		"bearer at the management API", bearerAt("auth", "/api/clients"), "401 invalid_token",
		nil, only("API token", "200"),
	},
	{
		"cookie at the management API", cookieAt("auth", "/api/clients", "access_token"), "401 no_credential",
		nil, only("session cookie", "200"),
	},
	{
		"bearer at a registration", func(t *testing.T, m *mixing, raw string) string {
			return refusalOf(m.get(t, "auth", "/register/"+m.clientID, raw))
		}, "401 invalid_token",
		nil, only("registration access token", "200"),
	},
	{
		"bearer of who registers", func(t *testing.T, m *mixing, raw string) string {
			return refusalOf(m.ask(t, "auth", call{
				method: "POST", target: "/register", body: `{"redirect_uris":["https://x.example/"]}`,
				lines: append(bearerLine(raw), "Content-Type: application/json"),
			}))
		}, "401 invalid_token",
		nil, only("initial access token", "201"),
	},
}

var pagePlaces = []place{
	{
		"id_token_hint at authorize", visitWith("", func(t *testing.T, _ *mixing, raw string) string {
			return request(t, "prompt=none&id_token_hint="+url.QueryEscape(raw))
		}), "303 invalid_request",
		nil, only("ID token", "303 code"),
	},
	{
		"id_token_hint at logout", visitWith("other", func(_ *testing.T, _ *mixing, raw string) string {
			return logoutAddress("id_token_hint", raw)
		}), "400 invalid_id_token_hint",
		nil, only("ID token", "200 You are not signed in"),
	},
	{
		"request_uri", visitWith("", func(_ *testing.T, _ *mixing, raw string) string {
			return "/authorize?" + url.Values{
				"client_id": {"rp"}, "redirect_uri": {rpCallback}, "request_uri": {raw},
			}.Encode()
		}), "303 request_uri_not_supported",
		nil, only("request_uri", "303 code"),
	},
	{
		"user code", visitWith("", func(_ *testing.T, _ *mixing, raw string) string {
			return "/device?" + url.Values{"user_code": {raw}}.Encode()
		}), "400 That is not a code",
		nil, only("user code", "200 The device asked"),
	},
	{
		"cookie at authorize", visitWith("access_token", withoutPrompt), "303 login_required",
		nil, only("session cookie", "303 code"),
	},
	{
		"refresh cookie at authorize", visitWith("refresh_token", withoutPrompt), "303 login_required",
		nil, only("session's refresh token", "303 code"),
	},
}

var grantPlaces = []place{
	{
		"subject of an exchange", formAt("/token", "subject_token", "client_id", "orders", "client_secret", rpSecret,
			"grant_type", clients.GrantExchange, "subject_token_type", accessTokenURN), "400 invalid_request",
		nil, cells{"200", append([]string{"session cookie"}, accessTokens...)},
	},
	{
		"actor of an exchange", formAt("/token", "actor_token", "client_id", "orders", "client_secret", rpSecret,
			"grant_type", clients.GrantExchange, "subject_token_type", accessTokenURN, "subject_token", "x"),
		"400 invalid_request", nil, cells{},
	},
	{
		"refresh", formAt("/token", "refresh_token", "client_id", "rp", "client_secret", rpSecret,
			"grant_type", "refresh_token"), "400 invalid_grant",
		nil, only("refresh token", "200"),
	},
	{
		"code", formAt("/token", "code", "client_id", "rp", "client_secret", rpSecret, "grant_type",
			"authorization_code", "redirect_uri", rpCallback, "code_verifier", pkceVerifier), "400 invalid_grant",
		nil, only("code", "200"),
	},
	{
		"device code", formAt("/token", "device_code", "client_id", "tv", "grant_type", clients.GrantDevice),
		"400 invalid_grant", nil, only("device code", "400 authorization_pending"),
	},
	{
		"identity assertion", formAt("/token", "assertion", "client_id", "agent", "client_secret", rpSecret,
			"grant_type", jwtBearer), "400 invalid_grant",
		nil, only("identity assertion", "200"),
	},
	{
		"client assertion", formAt("/token", "client_assertion", "grant_type", "client_credentials",
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), "401 invalid_client",
		nil, only("client assertion", "200"),
	},
	{
		"client secret", formAt("/token", "client_secret", "client_id", "machine", "grant_type",
			"client_credentials"), "401 invalid_client",
		nil, only("client secret", "200"),
	},
}

// want is what the place says to a kind.
func (p place) want(kind string) string {
	for _, c := range append(p.others, p.good) {
		if slices.Contains(c.kinds, kind) {
			return c.word
		}
	}
	return p.refused
}

// TestTokensCountOnlyWhereTheyBelong presents each kind of token that this server makes or reads at
// every place where a token is read. First where it does not belong; what is said where it does shows
// that nothing before has used it up or ended it.
func TestTokensCountOnlyWhereTheyBelong(t *testing.T) {
	m := newMixing(t)
	places := slices.Concat(gatePlaces, endpointPlaces, pagePlaces, grantPlaces)
	for _, good := range []bool{false, true} {
		for _, p := range places {
			for _, k := range m.kinds {
				if slices.Contains(p.good.kinds, k.name) != good {
					continue
				}
				t.Run(p.name+"/"+k.name, func(t *testing.T) {
					if got := p.say(t, m, k.value); got != p.want(k.name) {
						t.Errorf("%s, want %s", got, p.want(k.name))
					}
				})
			}
		}
	}
	for _, p := range places { // a name that is spelled wrong would test nothing
		for _, c := range append(p.others, p.good) {
			for _, name := range c.kinds {
				if !slices.ContainsFunc(m.kinds, func(k kind) bool { return k.name == name }) {
					t.Errorf("%s: no kind %q", p.name, name)
				}
			}
		}
	}
}
