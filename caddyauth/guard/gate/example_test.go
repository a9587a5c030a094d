package gate_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// A gate decides whether a request may pass, and changes what it carries: forged headers and the
// credential leave, the headers of the verified claims come in.
func ExampleGate() {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	issuer := token.Issuer{Name: "https://auth.example.com", Own: true}
	g := &gate.Gate{
		Audiences: []string{"api"},
		Project:   "default",
		Issuers:   map[string][]string{issuer.Name: nil},
		Rules:     []gate.Rule{{Claim: "role", Values: []string{"admin"}}},
		Forward:   []gate.Mapping{{Claim: "sub", Header: "X-User-Id"}},
		Sources:   []gate.Source{{Kind: gate.Bearer}},
		Owned:     new(gate.Owned),
		Revoked:   func(*token.Token, time.Time) error { return nil },

		// A real gate has the Verify of a token.Verifier or a token.Cache here.
		Verify: func(_ context.Context, raw string) (*token.Token, error) {
			return token.FromClaims(issuer, raw, []byte(`{"iss":"https://auth.example.com","sub":"`+raw+`","aud":"api",
				"project":"default","exp":1795870000,"role":["admin"]}`))
		},
	}
	if err := g.Validate(); err != nil {
		log.Fatal(err)
	}

	r := httptest.NewRequest(http.MethodGet, "https://app.example.com/", nil)
	r.Header.Set("Authorization", "Bearer alice")
	r.Header.Set("X_User_Id", "eve")
	if _, err := g.Admit(r, nil, now); err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Header)

	_, err := g.Admit(httptest.NewRequest(http.MethodGet, "https://app.example.com/", nil), nil, now)
	reason := err.(*token.Refusal).Reason
	fmt.Println(gate.Status(reason), reason)
	// Output:
	// map[X-User-Id:[alice]]
	// 401 no_credential
}
