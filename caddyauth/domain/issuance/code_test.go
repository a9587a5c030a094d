package issuance

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// oneCode is a store of one code, without a database.
type oneCode struct {
	store    *memory
	code     authorization.Code
	adding   error
	verdict  authorization.Verdict // of RedeemCode
	redeemed []authorization.Redemption
	replays  int
}

func (o *oneCode) AddCode(_ context.Context, c authorization.Code, _ string) error {
	if o.adding == nil {
		o.code = c
	}
	return o.adding
}

func (o *oneCode) FindCode(_ context.Context, hash string) (authorization.Code, Parties, error) {
	if hash != o.code.Hash {
		return authorization.Code{}, Parties{}, ErrNoCode
	}
	c := o.code
	c.SessionEnds = noon.Add(24 * time.Hour)
	return c, o.store.parties, nil
}

func (o *oneCode) RedeemCode(
	_ context.Context,
	r authorization.Redemption,
	_ time.Time,
) (authorization.Outcome, error) {
	o.redeemed = append(o.redeemed, r)
	if o.verdict == authorization.Redeemed {
		o.store.grants[r.Grant.ID] = r.Grant
	}
	return o.outcome(o.verdict), nil
}

func (o *oneCode) ReplayCode(context.Context, string, time.Time) (authorization.Outcome, error) {
	o.replays++
	return o.outcome(authorization.Replayed), nil
}

func (o *oneCode) outcome(v authorization.Verdict) authorization.Outcome {
	out := authorization.Outcome{Verdict: v}
	if v == authorization.Replayed {
		out.Denials = []revocation.Denial{{Kind: revocation.FamilyKind, ID: "bought", Until: noon.Add(time.Hour)}}
	}
	return out
}

// newAuthorization is an issuer with a relying party, and a code of Alice for it.
func newAuthorization(t *testing.T, change func(r *CodeRequest)) (x *issuer, o *oneCode, code string) {
	t.Helper()
	x = newIssuer(t)
	o = &oneCode{store: x.store, verdict: authorization.Redeemed}
	x.Codes = o
	x.store.parties.Client = clients.Client{
		ID:       "rp",
		Project:  "acme",
		Active:   true,
		Audience: []string{"reports"},
		Scopes:   []string{"openid", "read", "offline_access"},
		Settings: clients.Settings{Resources: []string{"https://a.example", "https://b.example"}},
	}
	r := CodeRequest{
		Parties: x.store.parties,
		Request: authorization.Request{
			To:     authorization.Destination{RedirectURI: "https://rp.example/cb"},
			Scopes: []string{"openid", "read"},
			Nonce:  "n",
		},
		Subject:  "Alice",
		Session:  "sso",
		Epoch:    3,
		AuthTime: noon.Add(-time.Minute),
		ACR:      PasswordClass,
		AMR:      []string{PasswordMethod},
		Device:   "Firefox",
		ClientIP: "192.0.2.7",
		Now:      noon,
	}
	if change != nil {
		change(&r)
	}
	code, err := x.IssueCode(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return x, o, code
}

func TestCodeIsIssued(t *testing.T) {
	x, o, code := newAuthorization(t, nil)
	want := authorization.Code{
		Hash:        secrets.Hash(code),
		ClientID:    "rp",
		Project:     "acme",
		Subject:     "Alice",
		Account:     "alice",
		RedirectURI: "https://rp.example/cb",
		Nonce:       "n",
		Scopes:      []string{"openid", "read"},
		Audience:    []string{"reports"},
		Session:     "sso",
		AuthTime:    noon.Add(-time.Minute),
		ACR:         "pwd",
		AMR:         []string{"pwd"},
		Device:      "Firefox",
		ClientIP:    "192.0.2.7",
		Epoch:       3,
		Created:     noon,
		Expires:     noon.Add(time.Minute),
	}
	if !reflect.DeepEqual(o.code, want) || x.seen["authorization_code"] != 1 {
		t.Errorf("stored %+v\nwant %+v; observed %v", o.code, want, x.seen)
	}
}

func TestAudienceOfACode(t *testing.T) {
	for _, c := range []struct {
		name             string
		resources, words []string
		want             []string
	}{
		{"resources", []string{"https://a"}, []string{"reports"}, []string{"https://a"}},
		{"the client's", nil, []string{"reports"}, []string{"reports"}},
		{"none", nil, nil, []string{"api"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, o, _ := newAuthorization(t, func(r *CodeRequest) {
				r.Request.Resources, r.Parties.Client.Audience = c.resources, c.words
				r.Parties.Client.Resources = c.resources
			})
			if !reflect.DeepEqual(o.code.Audience, c.want) {
				t.Errorf("%q", o.code.Audience)
			}
		})
	}
}

func TestCodesThatAreNotIssued(t *testing.T) {
	for _, c := range notIssued {
		t.Run(c.name, func(t *testing.T) {
			x, _, _ := newAuthorization(t, nil)
			p := x.store.parties
			c.change(&p)
			_, err := x.IssueCode(t.Context(), CodeRequest{Parties: p, Subject: "Alice", Now: noon})
			refuses(t, err, session.NotAllowed)
		})
	}
	x, o, _ := newAuthorization(t, nil)
	o.adding = authorization.ErrOvertaken
	_, err := x.IssueCode(t.Context(), CodeRequest{Parties: x.store.parties, Subject: "Alice", Now: noon})
	refuses(t, err, session.NotAllowed)
}

// TestCodeBuysAGrant: what begins, and until when.
func TestCodeBuysAGrant(t *testing.T) {
	for _, c := range []struct {
		name    string
		request func(r *CodeRequest)
		client  func(c *clients.Client)
		want    func(g *session.Grant) // what differs
		refresh bool
	}{
		{"under the session, and no longer", nil, nil, func(*session.Grant) {}, true},
		{"offline", func(r *CodeRequest) { r.Request.Scopes = []string{"openid", "offline_access"} }, nil,
			func(g *session.Grant) {
				g.Parent, g.SignIn, g.Offline = "", g.Parent, true
				g.Scopes = []string{"openid", "offline_access"}
				g.Idle, g.IdleEnds, g.Ends = 30*24*time.Hour, noon.Add(30*24*time.Hour), noon.Add(365*24*time.Hour)
			}, true},
		{"no refresh tokens", nil, func(c *clients.Client) { c.Lifetimes.Refresh = project.None },
			func(g *session.Grant) {
				g.Idle, g.IdleEnds, g.Ends = 15*time.Minute, noon.Add(15*time.Minute), noon.Add(15*time.Minute)
			}, false},
		{"not the grant type", nil, func(c *clients.Client) { c.GrantTypes = []string{clients.GrantCode} },
			func(*session.Grant) {}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, o, code := newAuthorization(t, c.request)
			if c.client != nil {
				c.client(&x.store.parties.Client)
			}
			got, err := x.ExchangeCode(t.Context(),
				CodeExchange{Code: code, ClientID: "rp", JKT: thumbprint, Now: noon})
			if err != nil || len(o.redeemed) != 1 || o.redeemed[0].Session != "sso" {
				t.Fatalf("%v, %+v", err, o.redeemed)
			}
			day := 24 * time.Hour
			g := o.redeemed[0].Grant
			want := session.Grant{
				ID:       g.ID,
				Seed:     g.Seed,
				Project:  "acme",
				Subject:  "Alice",
				ClientID: "rp",
				Audience: []string{"reports"},
				Scopes: []string{
					"openid",
					"read",
				},
				Kind:        CodeGrant,
				Device:      "Firefox",
				ClientIP:    "192.0.2.7",
				Epoch:       5,
				Created:     noon,
				Rotated:     noon,
				LastUsed:    noon,
				IdleEnds:    noon.Add(day),
				Ends:        noon.Add(day),
				AccessUntil: noon.Add(15 * time.Minute),
				Idle:        day,
				Reuse:       project.DefaultBrowserReuse,
				Parent:      "sso",
				AuthTime:    noon.Add(-time.Minute),
				ACR:         "pwd",
				AMR:         []string{"pwd"},
				JKT:         thumbprint,
			}
			c.want(&want)
			if !reflect.DeepEqual(g, want) {
				t.Errorf("the grant is %+v\nwant %+v", g, want)
			}
			if (got.RefreshToken != "") != c.refresh || got.Code.Nonce != "n" {
				t.Errorf("%+v", got)
			}
			claims := x.read(t, got.AccessToken)
			if claims["sid"] != g.ID || claims["acr"] != "pwd" || claims["auth_time"] != "1772366340" {
				t.Errorf("the access token says %v", claims)
			}
		})
	}
}

const thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

func TestCodesThatAreNotExchanged(t *testing.T) {
	verdict := func(want authorization.Verdict) func(*testing.T, error) {
		return func(t *testing.T, err error) {
			t.Helper()
			if r, ok := errors.AsType[*CodeRefusal](err); !ok || r.Verdict != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
	}
	for _, c := range []struct {
		name    string
		change  func(x *issuer, o *oneCode, e *CodeExchange)
		check   func(*testing.T, error)
		redeems int
		replays int
	}{
		{"unknown", func(_ *issuer, _ *oneCode, e *CodeExchange) { e.Code = "ac_x" }, verdict(authorization.Unknown),
			0, 0},
		{"client", func(_ *issuer, _ *oneCode, e *CodeExchange) { e.ClientID = "x" },
			verdict(authorization.OtherClient), 0, 0},
		{"late", func(_ *issuer, _ *oneCode, e *CodeExchange) { e.Now = noon.Add(time.Minute) },
			verdict(authorization.Expired), 0, 0},
		{"used", func(_ *issuer, o *oneCode, _ *CodeExchange) { o.code.Used = noon }, verdict(authorization.Replayed),
			0, 1},
		{"used meanwhile", func(_ *issuer, o *oneCode, _ *CodeExchange) { o.verdict = authorization.Replayed },
			verdict(authorization.Replayed), 1, 0},
		{"overtaken", func(_ *issuer, o *oneCode, _ *CodeExchange) { o.verdict = authorization.NotAllowed },
			verdict(authorization.NotAllowed), 1, 0},
		{"disabled", func(x *issuer, _ *oneCode, _ *CodeExchange) { x.store.parties.User.Disabled = true },
			verdict(authorization.NotAllowed), 0, 0},
		{"session over", func(_ *issuer, o *oneCode, e *CodeExchange) {
			o.code.Expires, e.Now = noon.Add(48*time.Hour), noon.Add(24*time.Hour)
		}, verdict(authorization.NotAllowed), 0, 0},
		{"resource", func(_ *issuer, _ *oneCode, e *CodeExchange) { e.Resources = []string{"https://x"} },
			func(t *testing.T, err error) {
				if !errors.Is(err, ErrTarget) {
					t.Error(err)
				}
			}, 0, 0},
		{"no key", func(x *issuer, _ *oneCode, _ *CodeExchange) { x.keys = errors.New("no key") },
			func(t *testing.T, err error) {
				if err == nil {
					t.Error("no error")
				}
			}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, o, code := newAuthorization(t, nil)
			e := CodeExchange{Code: code, ClientID: "rp", Now: noon}
			c.change(x, o, &e)
			got, err := x.ExchangeCode(t.Context(), e)
			c.check(t, err)
			if got.AccessToken != "" || len(o.redeemed) != c.redeems || o.replays != c.replays {
				t.Errorf("%+v; redeemed %d times, replayed %d times", got, len(o.redeemed), o.replays)
			}
			denied := x.Sessions.DenyList.Denied(revocation.Subject{Family: "bought"}) != ""
			if want := c.name == "used" || c.name == "used meanwhile"; denied != want {
				t.Errorf("this node denies what it bought: %v", denied)
			}
		})
	}
}

// TestWhatIsTakenFromAClientIsNotBought: the code is older than the client's settings. What was taken is
// not in the grant either.
func TestWhatIsTakenFromAClientIsNotBought(t *testing.T) {
	for _, c := range []struct {
		name             string
		change           func(c *clients.Client)
		asks             []string
		scopes, audience []string // nil: refused
		target           bool     // because of the resource
	}{
		{"a scope", func(c *clients.Client) { c.Scopes = []string{"openid"} }, nil,
			[]string{"openid"}, []string{"https://a.example", "https://b.example"}, false},
		{"a resource", func(c *clients.Client) { c.Resources = c.Resources[:1] }, nil,
			[]string{"openid", "read"}, []string{"https://a.example"}, false},
		{"the resource that is asked for", func(c *clients.Client) { c.Resources = c.Resources[:1] },
			[]string{"https://b.example"}, nil, nil, true},
		{"all scopes", func(c *clients.Client) { c.Scopes = nil }, nil, nil, nil, false},
		{"all resources", func(c *clients.Client) { c.Resources = nil }, nil, nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, o, code := newAuthorization(t, func(r *CodeRequest) {
				r.Request.Resources = []string{"https://a.example", "https://b.example"}
			})
			c.change(&x.store.parties.Client)
			got, err := x.ExchangeCode(t.Context(),
				CodeExchange{Code: code, ClientID: "rp", Resources: c.asks, Now: noon})
			if c.scopes == nil {
				r, refused := errors.AsType[*CodeRefusal](err)
				if refused = refused && r.Verdict == authorization.NotAllowed; c.target {
					refused = errors.Is(err, ErrTarget)
				}
				if !refused || len(o.redeemed) > 0 {
					t.Errorf("%v, redeemed %d times", err, len(o.redeemed))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := x.Verify(t.Context(), got.AccessToken)
			if g := o.redeemed[0].Grant; err != nil || !slices.Equal(parsed.Scopes, c.scopes) ||
				!slices.Equal(parsed.Audience, c.audience) || !slices.Equal(got.Scopes, c.scopes) ||
				!slices.Equal(g.Scopes, c.scopes) || !slices.Equal(g.Audience, c.audience) {
				t.Errorf("the token has %q for %q, the grant %+v, %v", parsed.Scopes, parsed.Audience, g, err)
			}
		})
	}
}

func TestCodeForOneOfSeveralResources(t *testing.T) {
	x, o, code := newAuthorization(t, func(r *CodeRequest) {
		r.Request.Resources = []string{"https://a.example", "https://b.example"}
	})
	got, err := x.ExchangeCode(t.Context(),
		CodeExchange{Code: code, ClientID: "rp", Resources: []string{"https://b.example/"}, Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x.Verify(t.Context(), got.AccessToken)
	if err != nil || !reflect.DeepEqual(parsed.Audience, []string{"https://b.example"}) {
		t.Errorf("%+v, %v", parsed, err)
	}
	if g := o.redeemed[0].Grant; !reflect.DeepEqual(g.Audience, []string{"https://a.example", "https://b.example"}) {
		t.Errorf("the grant is for %q", g.Audience)
	}
}
