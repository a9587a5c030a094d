package gate

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// TestRefusalsSayWhatTheTokenHas: the operator sees what a rule asks for and what the token has, in
// a bounded length, and no secret.
func TestRefusalsSayWhatTheTokenHas(t *testing.T) {
	w := newTokenFixture(t)
	long := strings.Repeat("long ", 1000)
	for _, c := range []struct {
		name string
		gate func(*Gate)
		mint func(*token.Claims)
		want string
	}{
		{"absent", rules(Rule{Claim: "roles", Values: []string{"admin"}}), nil,
			"require roles admin: the token has no claim roles"},
		{"absent, any value", rules(Rule{Claim: "roles"}), nil, "require roles: the token has no claim roles"},
		{"another text", rules(Rule{Claim: "role", Values: []string{"editor", "x"}}), nil,
			`require role editor x: role is "admin"`},
		{"another list", rules(Rule{Claim: "groups", Values: []string{"dev"}}), nil,
			`require groups dev: groups is ["staff", "ops,night"]`},
		{"a number", rules(Rule{Claim: "level", Values: []string{"9"}}), extra("level", int64(9007199254740993)),
			`require level 9: level is 9007199254740993`},
		{"a switch", rules(Rule{Claim: "paid", Values: []string{"yes"}}), extra("paid", true),
			`require paid yes: paid is true`},
		{"null", rules(Rule{Claim: "x"}), extra("x", nil), `require x: x is null`},
		{"an object", rules(Rule{Claim: "x", Values: []string{"y"}}), extra("x", map[string]any{"y": 1}),
			`require x y: x is an object`},
		{"nested", rules(Rule{Claim: "a.b", Values: []string{"y"}}), extra("a", map[string]any{"b": "z"}),
			`require a.b y: a.b is "z"`},
		{"objects in a list", rules(Rule{Claim: "x", Values: []string{"y"}}), extra("x", []any{map[string]any{}}),
			`require x y: x is a list of 1 elements, not all of them words`},
		{"denied", rules(Rule{Claim: "role", Values: []string{"admin"}, Deny: true}), nil,
			`deny role admin: role is "admin"`},
		{"denied when present", rules(Rule{Claim: "role", Deny: true}), nil, `deny role: role is "admin"`},
		{"scopes", rules(Rule{Claim: "scope", Values: []string{"a", "b"}}), scopes("b", "c"),
			`require scope a b: scope is "b c"`},
		{"no scope", rules(Rule{Claim: "scope", Values: []string{"a"}}), nil,
			`require scope a: the token has no claim scope`},
		{"long", rules(Rule{Claim: "x", Values: []string{"y"}}), extra("x", long),
			`require x y: x is "` + long[:maxValue] + `…"`},
		{"control characters", rules(Rule{Claim: "x", Values: []string{"y"}}), extra("x", "a\x1b[31m\r\n\u202e"),
			`require x y: x is "a\x1b[31m\r\n\u202e"`},
		{"a secret", rules(Rule{Claim: "apiKey", Values: []string{"y"}}), extra("apiKey", "canary"),
			`require apiKey y: apiKey has another value`},
		{"audience", func(g *Gate) { g.Audiences = []string{"api"} }, nil, `the token is for ["web"], not for api`},
		{"resource", func(g *Gate) { g.Resource = "https://r.example" }, nil,
			`the token is for ["web"], not for https://r.example`},
		{
			"project", func(g *Gate) { g.Project = "acme" }, nil,
			`this gate belongs to project acme, the token to "default"`,
		},
		{"issuer", nil, func(c *token.Claims) { c.Issuer = foreignIssuer },
			`this gate does not accept tokens of "https://idp.example.com"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.gate(t, c.gate).Admit(request(bearer(w.mint(t, c.mint))), nil, now)
			refusal, _ := errors.AsType[*token.Refusal](err)
			if refusal == nil || refusal.Detail != c.want {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

// TestRefusalsAreShort: whatever the rule and the token hold.
func TestRefusalsAreShort(t *testing.T) {
	w := newTokenFixture(t)
	words := strings.Fields(strings.Repeat("abcdefgh ", 200))
	g := w.gate(t, rules(Rule{Claim: "x", Values: words}))
	many := strings.Fields(strings.Repeat("ijklmnop ", 200))
	for _, value := range []any{strings.Repeat("é", 1000), many, strings.Repeat("\x01", 500)} {
		_, err := g.Admit(request(bearer(w.mint(t, extra("x", value)))), nil, now)
		if err == nil || len(err.Error()) > 600 {
			t.Errorf("%v", err)
		}
	}
}
