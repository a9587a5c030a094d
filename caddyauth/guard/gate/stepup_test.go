package gate

import (
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// TestStepUp is about rules that another sign-in may meet (RFC 9470).
func TestStepUp(t *testing.T) {
	w := newTokenFixture(t)
	signedIn := func(ago time.Duration, acr any) func(*token.Claims) {
		return func(c *token.Claims) {
			c.Protocol = map[string]any{"auth_time": now.Add(-ago).Unix()}
			if acr != nil {
				c.Protocol["acr"] = acr
			}
		}
	}
	age := func(g *Gate) { g.MaxAge = 5 * time.Minute }
	class := func(values ...string) func(*Gate) {
		return func(g *Gate) { g.Rules = []Rule{{Claim: "acr", Values: values}} }
	}
	const again = InsufficientAuthentication
	for _, c := range []struct {
		name      string
		gate      func(*Gate)
		token     func(*token.Claims)
		want      token.Reason
		challenge string // what the challenge ends with
	}{
		{"young enough", age, signedIn(5*time.Minute, nil), "", ""},
		{"within the leeway", age, signedIn(5*time.Minute+30*time.Second, nil), "", ""},
		{"too old", age, signedIn(5*time.Minute+31*time.Second, nil), again, `max_age="300"`},
		{"ahead of the clock", age, signedIn(-time.Minute, nil), "", ""},
		{"nobody signed in", age, nil, again, `max_age="300"`},
		{"auth_time as text", age, func(c *token.Claims) { c.Protocol = map[string]any{"auth_time": "1800000000"} },
			again,
			`max_age="300"`},
		{"auth_time 0", age, func(c *token.Claims) { c.Protocol = map[string]any{"auth_time": 0} }, again,
			`max_age="300"`},
		{"the class", class("pwd"), signedIn(0, "pwd"), "", ""},
		{"one of the classes", class("mfa", "pwd"), signedIn(0, "pwd"), "", ""},
		{"another class", class("mfa", "phr"), signedIn(0, "pwd"), again, `acr_values="mfa phr"`},
		{"no class", class("pwd"), signedIn(0, nil), again, `acr_values="pwd"`},
		{"any class", class(), signedIn(0, "pwd"), "", ""},
		{"none of any class", class(), nil, again, `description="insufficient_user_authentication"`},
		{"denied class", func(g *Gate) { g.Rules = []Rule{{Claim: "acr", Values: []string{"pwd"}, Deny: true}} },
			signedIn(0, "pwd"), ClaimDenied, ""},
		{"class and age", func(g *Gate) { class("mfa")(g); age(g) }, signedIn(time.Hour, "pwd"), again,
			`acr_values="mfa", max_age="300"`},
		{"another rule comes first",
			func(g *Gate) { age(g); g.Rules = []Rule{{Claim: "role", Values: []string{"x"}}} }, nil,
			ClaimDenied, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := w.gate(t, c.gate)
			r := request(bearer(w.mint(t, c.token)))
			a, err := g.Admit(r, nil, now)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if ReasonOf(err) != c.want || len(r.Header) > 0 {
				t.Fatalf("%v, want %s; the request has %v", err, c.want, r.Header)
			}
			if c.want != again {
				return
			}
			want := `Bearer error="insufficient_user_authentication", ` +
				`error_description="insufficient_user_authentication"`
			if c.challenge[0] != 'd' {
				want += ", " + c.challenge
			}
			if got := g.Challenge(c.want, a.Via()); got != want || Status(c.want) != 401 {
				t.Errorf("%d %s, want %s", Status(c.want), got, want)
			}
		})
	}
}
