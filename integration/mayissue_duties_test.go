package integration

import (
	"net/url"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// TestEveryGrantAsksWhoMayHaveIt: code, refresh token, device code and a token for exchange that were good
// buy nothing once the person is disabled, nor once the client is gone.
func TestEveryGrantAsksWhoMayHaveIt(t *testing.T) {
	for _, c := range []struct {
		name  string
		ended func(auth string) string
		// The words of a code, a refresh token and a device code of the client, and of an exchange of its token.
		own, exchange string
		status        int
	}{
		{"the person is disabled", func(auth string) string {
			return strings.Replace(auth, "user alice {", "user alice {\n\t\tdisabled", 1)
		}, "invalid_grant", "invalid_request", 400},
		{"the client is gone", func(auth string) string {
			before, after, _ := strings.Cut(auth, "\tclient both {")
			_, after, _ = strings.Cut(after, "\n\t}\n")
			return before + after
		}, "invalid_client", "invalid_request", 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, x *authorizing) {
				auth := strings.TrimSuffix(authorizeAuth, "}") + `
	client both {
		redirect_uri ` + rpCallback + `
		secret ` + rpSecret + `
		scope read
		consent off
		grant_types authorization_code refresh_token device_code
	}
	client orders {
		secret ` + rpSecret + `
		grant_types token-exchange
		token_exchange both
		scope read
	}
}`
				x.load(auth, authorizeSites)
				v := x.visitor(t)
				asked := request(t, "client_id=both&scope=read")
				first := v.code(v.signIn(v.get(asked), "alice", alicePassword))
				held := x.token(t, "both", rpSecret, "", codeForm(first))
				code := v.code(v.get(asked))
				tv := x.device(t, "both", "client_secret="+rpSecret)
				form := deviceForm(tv.User, "alice", "allow")
				if got := v.post("/device", form); got.status != 200 {
					t.Fatalf("%d %s", got.status, got.body)
				}
				if got := x.token(t, "orders", rpSecret, "", exchangeOf(held.Access)); got.status != 200 {
					t.Fatalf("%+v", got)
				}

				x.load(c.ended(auth), authorizeSites)
				poll := url.Values{"grant_type": {clients.GrantDevice}, "device_code": {tv.Device}}
				for _, grant := range []struct {
					name, client string
					form         url.Values
					status       int
					word         string
				}{
					{"code", "both", codeForm(code), c.status, c.own},
					{"refresh token", "both", refreshForm(held.Refresh), c.status, c.own},
					{"device code", "both", poll, c.status, c.own},
					{"exchange", "orders", exchangeOf(held.Access), 400, c.exchange},
				} {
					if got := x.token(t, grant.client, rpSecret, "", grant.form); got.status != grant.status ||
						got.Error != grant.word {
						t.Errorf("%s: %+v, want %d %s", grant.name, got, grant.status, grant.word)
					}
				}
				if a := x.get(t, "api", "/", held.Access); a.status != 401 {
					t.Errorf("the access token at a gate: %d", a.status)
				}
			})
		})
	}
}
