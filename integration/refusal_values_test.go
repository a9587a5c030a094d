package integration

import (
	"net/http"
	"strings"
	"testing"
)

// TestRefusalValuesAreForTheOperator: the log says what a rule asks for and what the token has; the
// client learns neither, also not from an error route that prints Caddy's error.
func TestRefusalValuesAreForTheOperator(t *testing.T) {
	g := newGateway(t)
	const rules = `
	log
	jwt_auth api {
		require roles admin
		from header
	}
	respond "hello"`
	g.load(standardAuth, authSite+`
{{url "app"}} {`+rules+`
}
{{url "errors"}} {`+rules+`
	handle_errors {
		respond "{err.message} {err.status_text} {http.auth.error}" {err.status_code}
	}
}
`)
	for _, site := range []string{"app", "errors"} {
		t.Run(site, func(t *testing.T) {
			for _, c := range []struct {
				name   string
				claims map[string]any
				want   string
			}{
				{"absent", nil, "require roles admin: the token has no claim roles"},
				{"another", map[string]any{"roles": "canary"}, `require roles admin: roles is \"canary\"`},
			} {
				for _, lines := range [][]string{nil, {navigation}} {
					a := sendHTTP1(t, g.addr(site), call{target: "/", host: g.host(site),
						lines: append(lines, "Authorization: Bearer "+g.tokens.mint("es1", "alice", c.claims))})
					if a.status != http.StatusForbidden || !strings.Contains(a.body, "claim_denied") {
						t.Errorf("%s: status %d: %s", c.name, a.status, a.body)
					}
					for _, word := range []string{"canary", "roles", "admin"} {
						for name, values := range a.header {
							if strings.Contains(strings.Join(values, " "), word) {
								t.Errorf("%s: %s: %q", c.name, name, values)
							}
						}
						if strings.Contains(a.body, word) {
							t.Errorf("%s: the client reads %q: %s", c.name, word, a.body)
						}
					}
				}
				if !strings.Contains(g.log(), `"detail":"`+c.want+`"`) {
					t.Errorf("%s: the log does not say %s", c.name, c.want)
				}
			}
		})
	}
}
