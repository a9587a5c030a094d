package gate

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

func bindTo(jkt string) func(*token.Claims) {
	return func(c *token.Claims) { c.Protocol = map[string]any{"cnf": map[string]any{"jkt": jkt}} }
}

func byScheme(scheme, raw string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", scheme+" "+raw)
		r.Header.Set("DPoP", "proof")
	}
}

// proofs counts how often a gate asked for one, and how often it used one up.
type proofs struct {
	asked, spent int
	answer       error
}

func (p *proofs) check(_ *http.Request, _ *token.Token, spend bool, _ time.Time) error {
	p.asked++
	if spend && p.answer == nil {
		p.spent++
	}
	return p.answer
}

func TestBoundTokensNeedTheirSchemeAndAProof(t *testing.T) {
	w := newTokenFixture(t)
	bound, plain := w.mint(t, bindTo(thumbprint)), w.mint(t, nil)
	expired := w.mint(t, func(c *token.Claims) {
		bindTo(thumbprint)(c)
		c.IssuedAt, c.Expiry = now.Add(-time.Hour), now.Add(-time.Minute)
	})
	off := func(g *Gate) { g.Possession = nil }
	only := func(g *Gate) { g.BoundOnly = true }
	optional := func(g *Gate) { g.Mode = Optional }
	for _, c := range []struct {
		name   string
		gate   func(*Gate)
		send   func(*http.Request)
		want   token.Reason // empty: admitted
		asked  int
		scheme string // of the challenge
	}{
		{"bound, DPoP", nil, byScheme("DPoP", bound), "", 1, ""},
		{"the scheme in another case", nil, byScheme("dpOP", bound), "", 1, ""},
		{"bound, Bearer", nil, byScheme("Bearer", bound), ProofRequired, 0, "DPoP"},
		{"bound, cookie", nil, cookie(bound), ProofRequired, 0, "DPoP"},
		{"unbound, DPoP", nil, byScheme("DPoP", plain), WrongBinding, 0, "DPoP"},
		{"unbound, Bearer", nil, byScheme("Bearer", plain), "", 0, ""},
		{"expired, DPoP", nil, byScheme("DPoP", expired), token.Expired, 0, "DPoP"},
		{"two tokens", nil, byScheme("DPoP", bound+","+bound), MultipleCredentials, 0, "DPoP"},
		{"DPoP and a cookie", nil, func(r *http.Request) { byScheme("DPoP", bound)(r); cookie(plain)(r) },
			MultipleCredentials, 0, "Bearer"},
		{"no token", nil, byScheme("DPoP", ""), token.Malformed, 0, "DPoP"},
		{"another scheme", nil, byScheme("DPoPx", bound), NoCredential, 0, "Bearer"},

		{"off: bound, DPoP", off, byScheme("DPoP", bound), NoCredential, 0, "Bearer"},
		{"off: bound, Bearer", off, byScheme("Bearer", bound), token.WrongType, 0, "Bearer"},
		{"only: bound, DPoP", only, byScheme("DPoP", bound), "", 1, ""},
		{"only: unbound, Bearer", only, byScheme("Bearer", plain), ProofRequired, 0, "DPoP"},
		{"only: unbound, cookie", only, cookie(plain), ProofRequired, 0, "DPoP"},
		{"only: none", only, nil, NoCredential, 0, "DPoP"},
		{"optional: bound, Bearer", optional, byScheme("Bearer", bound), ProofRequired, 0, "DPoP"},
		{"optional: bound, DPoP", optional, byScheme("DPoP", bound), "", 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p proofs
			g := w.gate(t, func(g *Gate) {
				g.Possession = p.check
				if c.gate != nil {
					c.gate(g)
				}
			})
			r := request(c.send)
			a, err := g.Admit(r, nil, now)
			if c.want == "" && err != nil || c.want != "" && ReasonOf(err) != c.want {
				t.Errorf("%v, want %q", err, c.want)
			}
			if p.asked != c.asked || p.spent != c.asked {
				t.Errorf("a proof was asked for %d times, spent %d times; want %d", p.asked, p.spent, c.asked)
			}
			if len(r.Header["Dpop"])+len(r.Header["Authorization"]) > 0 {
				t.Errorf("the application sees %v", r.Header)
			}
			if c.want == "" {
				return
			}
			if challenge := g.Challenge(
				c.want,
				a.Via(),
			); challenge != c.scheme &&
				challenge[:len(c.scheme)+1] != c.scheme+" " {
				t.Errorf("challenge %q, want the scheme %s", challenge, c.scheme)
			}
		})
	}
}

// A request without its proof is refused before the policy is asked, and reaches nothing.
func TestRefusedProofs(t *testing.T) {
	w := newTokenFixture(t)
	for _, reason := range []token.Reason{InvalidProof, NonceRequired, WrongBinding, ReplayNotChecked} {
		t.Run(string(reason), func(t *testing.T) {
			p := proofs{answer: refuse(reason, "")}
			g := w.gate(t, func(g *Gate) {
				g.Possession = p.check
				g.Rules = []Rule{{Claim: "role", Values: []string{"nobody"}}}
			})
			r := request(byScheme("DPoP", w.mint(t, bindTo(thumbprint))))
			if _, err := g.Admit(r, nil, now); ReasonOf(err) != reason || len(r.Header) > 0 {
				t.Errorf("%v, the request is left with %v", err, r.Header)
			}
		})
	}
}

func TestOneProofIsEnoughForAllGatesOfARequest(t *testing.T) {
	w := newTokenFixture(t)
	var p proofs
	with := func(g *Gate) { g.Possession = p.check }
	report := w.gate(t, func(g *Gate) { with(g); g.Mode = ReportOnly })
	first, second := w.gate(t, with), w.gate(t, with)
	r := request(byScheme("DPoP", w.mint(t, bindTo(thumbprint))))

	reported, err := report.Admit(r, nil, now)
	if err != nil || p.asked != 1 || p.spent != 0 || len(r.Header["Dpop"]) != 1 {
		t.Errorf("report only: %v, %+v, %v", err, p, r.Header)
	}
	prior, err := first.Admit(r, reported, now)
	if err != nil || p.spent != 1 {
		t.Fatalf("first: %v, %+v", err, p)
	}
	if _, err := second.Admit(r, prior, now); err != nil || p.asked != 2 || p.spent != 1 {
		t.Errorf("second: %v, %+v", err, p)
	}
}

// A gate that reads no Authorization header keeps token and proof for one that does.
func TestProofsAreConcealedWithTheirToken(t *testing.T) {
	w := newTokenFixture(t)
	var p proofs
	credentials := &Credentials{Issued: w.Verifier.NamesIssuer}
	cookies := w.gate(t, func(g *Gate) {
		g.Mode, g.Credentials, g.Sources = Optional, credentials, []Source{{Cookie, cookieName}}
	})
	bound := w.gate(t, func(g *Gate) { g.Possession, g.Credentials = p.check, credentials })
	raw := w.mint(t, bindTo(thumbprint))
	for _, c := range []struct {
		name    string
		conceal func(*http.Request) *Concealed
	}{
		{"by a gate", func(r *http.Request) *Concealed {
			a, err := cookies.Admit(r, nil, now)
			if err != nil {
				t.Fatal(err)
			}
			return a.Concealed()
		}},
		{"by a filter", credentials.Conceal},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(byScheme("DPoP", raw))
			concealed := c.conceal(r)
			if len(r.Header["Dpop"])+len(r.Header["Authorization"]) > 0 || concealed == nil {
				t.Fatalf("the application sees %v", r.Header)
			}
			concealed.Reveal(r, bound)
			if got := r.Header["Dpop"]; len(got) != 1 || got[0] != "proof" {
				t.Errorf("the next gate sees %v", r.Header)
			}
			if _, err := bound.Admit(r, nil, now); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestChallengesOfDPoP(t *testing.T) {
	g := &Gate{Possession: new(proofs).check}
	for _, c := range []struct {
		reason token.Reason
		via    Kind
		want   string
	}{
		{NoCredential, "", `Bearer`},
		{InvalidProof, DPoP, `DPoP error="invalid_dpop_proof", error_description="invalid_dpop_proof", ` + algs},
		{NonceRequired, DPoP, `DPoP error="use_dpop_nonce", error_description="use_dpop_nonce", ` + algs},
		{WrongBinding, DPoP, `DPoP error="invalid_token", error_description="dpop_binding", ` + algs},
		{ProofRequired, Bearer, `DPoP error="invalid_token", error_description="dpop_required", ` + algs},
		{token.Expired, DPoP, `DPoP error="invalid_token", error_description="expired", ` + algs},
		{token.Expired, Bearer, `Bearer error="invalid_token", error_description="expired"`},
	} {
		t.Run(string(c.reason), func(t *testing.T) {
			if got := g.Challenge(c.reason, Source{Kind: c.via}); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

const algs = `algs="ES256 EdDSA PS256 RS256"`
