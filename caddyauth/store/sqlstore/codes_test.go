package sqlstore

import (
	"errors"
	"reflect"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// sso is the session of alice under which she authorizes clients.
func (x *tenants) sso(t *testing.T, id string) session.Grant {
	t.Helper()
	g := ownedBy(id, "acme", "Alice", clients.FirstParty)
	g.IdleEnds, g.Ends = noon.Add(time.Hour), noon.Add(2*time.Hour)
	mustAddGrants(t, x.Store, g)
	return g
}

// codeFor is a code of alice for the client reports.
func codeFor(hash, session string) authorization.Code {
	return authorization.Code{
		Hash:         hash,
		ClientID:     "reports",
		Project:      "acme",
		Subject:      "Alice",
		Account:      "alice",
		RedirectURI:  "https://rp.example/cb?алиса",
		RedirectSent: true,
		Challenge:    "challenge",
		Nonce:        `n'"`,
		Scopes:       []string{"openid", "profile"},
		Audience:     []string{"api", "https://mcp.example"},
		ClaimsText:   `{"userinfo":{}}`,
		JKT:          "thumbprint",
		Session:      session,
		AuthTime:     noon.Add(-time.Minute),
		ACR:          "pwd",
		AMR:          []string{"pwd"},
		Device:       "Firefox",
		ClientIP:     "192.0.2.7",
		Epoch:        1,
		Created:      noon,
		Expires:      noon.Add(time.Minute),
	}
}

// bought is what a code buys.
func bought(code authorization.Code, id string) authorization.Redemption {
	g := wholeGrant(id)
	g.Project, g.Subject, g.ClientID, g.Epoch = code.Project, code.Subject, code.ClientID, 1
	g.Parent, g.Offline, g.Rotated = code.Session, false, noon
	return authorization.Redemption{Hash: code.Hash, Session: code.Session, Grant: g}
}

// redeemed demands a verdict.
func (x *tenants) redeemed(t *testing.T, r authorization.Redemption, now time.Time, want authorization.Verdict) {
	t.Helper()
	out, err := x.RedeemCode(t.Context(), r, now)
	if err != nil || out.Verdict != want {
		t.Errorf("%+v, %v; want %s", out, err, want)
	}
	_, err = x.FindGrant(t.Context(), r.Grant.ID)
	if (err == nil) != (want == authorization.Redeemed) {
		t.Errorf("%s: the grant: %v", want, err)
	}
}

func TestCodeComesBackWhole(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		x, other := newTenants(t, open()), open()
		sso := x.sso(t, "sso")
		parties, err := x.FindParties(t.Context(), "acme", "reports", "alice")
		must(t, err)
		bare := authorization.Code{
			Hash:     "bare",
			ClientID: "reports",
			Project:  "acme",
			Subject:  "Alice",
			Account:  "alice",
			Scopes:   []string{},
			Audience: []string{},
			AMR:      []string{},
			Epoch:    parties.Epoch,
			Created:  noon,
			Expires:  noon.Add(time.Minute),
		}
		full := codeFor("full", "sso")
		full.Epoch = parties.Epoch
		for _, want := range []authorization.Code{full, bare} {
			must(t, x.AddCode(t.Context(), want, ""))
			if want.Session != "" {
				want.SessionEnds = sso.Ends
			}
			got, p, err := other.FindCode(t.Context(), want.Hash)
			if err != nil || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(p, parties) {
				t.Errorf("came back as %+v, %+v, %v\nwant %+v", got, p, err, want)
			}
		}
		if _, _, err := x.FindCode(t.Context(), "absent"); !errors.Is(err, issuance.ErrNoCode) {
			t.Errorf("an absent code: %v", err)
		}
		if err := x.AddCode(t.Context(), full, ""); err == nil {
			t.Error("the same code twice")
		}
	})
}

// notStanding are the reasons for which a code is neither added nor redeemed. ofSession says that a
// code of a session that began before is refused, but not one of a session that begins afterwards.
var notStanding = []struct {
	name   string
	end    func(t *testing.T, x *tenants)
	adding bool // a new code of the old session is refused, too
}{
	{"project paused", func(t *testing.T, x *tenants) {
		p, err := x.FindProject(t.Context(), "acme")
		must(t, err)
		p.Active = false
		_, err = x.ChangeProject(t.Context(), p, noon)
		must(t, err)
	}, true},
	{"client paused", func(t *testing.T, x *tenants) {
		c, err := x.FindClient(t.Context(), "reports")
		must(t, err)
		c.Active = false
		_, err = x.ChangeClient(t.Context(), c, noon)
		must(t, err)
	}, true},
	{"client removed", func(t *testing.T, x *tenants) {
		must(t, x.RemoveClient(t.Context(), "reports", 1))
	}, true},
	{"client revoked", func(t *testing.T, x *tenants) {
		x.revoke(t, revocation.Revocation{Kind: revocation.ClientKind, Project: "acme", ID: "reports"})
	}, false},
	{"person disabled", func(t *testing.T, x *tenants) {
		x.changeAlice(t, func(u *identity.User) { u.Disabled = true })
	}, true},
	{"person revoked", func(t *testing.T, x *tenants) {
		x.revoke(t, revocation.Revocation{Kind: revocation.UserKind, Project: "acme", ID: "Alice"})
	}, true},
	{"project revoked", func(t *testing.T, x *tenants) {
		x.revoke(t, revocation.Revocation{Kind: revocation.ProjectKind, Project: "acme"})
	}, true},
	{"session ended", func(t *testing.T, x *tenants) {
		_, err := x.RevokeGrant(t.Context(), "sso", "logout", noon)
		must(t, err)
	}, true},
}

func (x *tenants) revoke(t *testing.T, o revocation.Revocation) {
	t.Helper()
	o.Until = noon.Add(time.Hour)
	_, _, err := x.RevokeAll(t.Context(), o, noon)
	must(t, err)
}

func (x *tenants) changeAlice(t *testing.T, change func(u *identity.User)) {
	t.Helper()
	u, err := x.FindUser(t.Context(), "acme", "alice")
	must(t, err)
	changed := *u
	change(&changed)
	_, err = x.ChangeUser(t.Context(), changed, noon)
	must(t, err)
}

// TestCodesNeedAllToStand: whoever a code is for must still be allowed it when it is added, and when
// it is redeemed.
func TestCodesNeedAllToStand(t *testing.T) {
	for _, c := range notStanding {
		t.Run(c.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				x := newTenants(t, open())
				x.sso(t, "sso")
				epoch, err := x.Epoch(t.Context())
				must(t, err)
				code := codeFor("code", "sso")
				code.Epoch = epoch
				must(t, x.AddCode(t.Context(), code, ""))
				c.end(t, x)
				x.redeemed(t, bought(code, "bought"), noon, authorization.NotAllowed)
				got, _, err := x.FindCode(t.Context(), "code")
				if err != nil || !got.Used.IsZero() || got.Granted != "" {
					t.Errorf("the refusal has left %+v, %v", got, err)
				}
				late := code
				late.Hash = "late"
				if err := x.AddCode(t.Context(), late, ""); errors.Is(err, authorization.ErrOvertaken) != c.adding {
					t.Errorf("another code: %v", err)
				}
			})
		})
	}
}

// TestCodeIsRedeemedOnce, and used again ends what it bought, with its denial.
func TestCodeIsRedeemedOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		x := newTenants(t, open())
		x.sso(t, "sso")
		code := codeFor("code", "sso")
		must(t, x.AddCode(t.Context(), code, ""))
		x.redeemed(t, bought(code, "late"), code.Expires, authorization.Expired)
		x.redeemed(t, bought(codeFor("absent", "sso"), "absent"), noon, authorization.Unknown)
		x.redeemed(t, bought(code, "first"), noon, authorization.Redeemed)
		got, err := x.FindGrant(t.Context(), "first")
		if want := bought(code, "first").Grant; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("the grant is %+v, %v\nwant %+v", got, err, want)
		}

		late := code.Expires.Add(time.Hour) // it is known for as long as what it bought lives
		out, err := x.RedeemCode(t.Context(), bought(code, "second"), late)
		if err != nil || out.Verdict != authorization.Replayed || len(out.Denials) != 1 ||
			out.Denials[0].ID != "first" {
			t.Errorf("used again: %+v, %v", out, err)
		}
		if got, err := x.FindGrant(t.Context(), "first"); err != nil || !got.Revoked.Equal(late) {
			t.Errorf("what it bought: %+v, %v", got, err)
		}
		if _, err := x.FindGrant(t.Context(), "second"); !errors.Is(err, session.ErrNoGrant) {
			t.Errorf("what it shall not buy: %v", err)
		}
		out, err = x.ReplayCode(t.Context(), "code", late)
		if err != nil || out.Verdict != authorization.Replayed || len(out.Denials) != 0 {
			t.Errorf("used once more: %+v, %v", out, err)
		}
	})
}

// TestHundredsRedeemOneCode on two nodes: one gets tokens, the others learn that it was used, and
// what it bought has ended.
func TestHundredsRedeemOneCode(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		x := newTenants(t, open())
		nodes := []*Store{x.Store, open()}
		x.sso(t, "sso")
		code := codeFor("code", "sso")
		must(t, x.AddCode(t.Context(), code, ""))
		var redeemed, replayed atomic.Int64
		atOnce(200, func(i int) {
			out, err := nodes[i%2].RedeemCode(t.Context(), bought(code, "g"+strconv.Itoa(i)), noon)
			switch {
			case err != nil:
				t.Error(err)
			case out.Verdict == authorization.Redeemed:
				redeemed.Add(1)
			case out.Verdict == authorization.Replayed:
				replayed.Add(1)
			default:
				t.Error(out.Verdict)
			}
		})
		if redeemed.Load() != 1 || replayed.Load() != 199 {
			t.Errorf("%d redeemed, %d replayed", redeemed.Load(), replayed.Load())
		}
		got, _, err := x.FindCode(t.Context(), "code")
		must(t, err)
		if g, err := x.FindGrant(t.Context(), got.Granted); err != nil || g.Revoked.IsZero() {
			t.Errorf("what it bought: %+v, %v", g, err)
		}
	})
}

// TestNothingOutlivesWhatEndsItMeanwhile: codes are redeemed while their session ends, or while the
// person is revoked. Whatever was bought has ended, or can do nothing.
func TestNothingOutlivesWhatEndsItMeanwhile(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, x *tenants)
	}{{"session", notStanding[7].end}, {"person", notStanding[5].end}} {
		t.Run(c.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				x := newTenants(t, open())
				other := open()
				x.sso(t, "sso")
				const n = 200
				for i := range n {
					must(t, x.AddCode(t.Context(), codeFor("code"+strconv.Itoa(i), "sso"), ""))
				}
				var redeemed atomic.Int64
				atOnce(n+1, func(i int) {
					if i == n/2 {
						c.end(t, x)
						return
					}
					if i > n/2 {
						i--
					}
					id := strconv.Itoa(i)
					out, err := other.RedeemCode(t.Context(), bought(codeFor("code"+id, "sso"), "g"+id), noon)
					if err != nil {
						t.Error(err)
					}
					if out.Verdict == authorization.Redeemed {
						redeemed.Add(1)
					}
				})
				t.Logf("%d of %d were redeemed before", redeemed.Load(), n)
				for i := range n {
					id := "g" + strconv.Itoa(i)
					g, err := x.FindGrant(t.Context(), id)
					if err != nil {
						continue
					}
					use := session.Rotation{ID: id, ClientID: "reports", Generation: g.Generation}
					done, err := x.RotateGrant(t.Context(), use, noon)
					if err != nil || done.Verdict != session.Ended {
						t.Errorf("%s goes on: %s, %v", id, done.Verdict, err)
					}
					if c.name == "session" && g.Revoked.IsZero() {
						t.Errorf("%s was not ended with its session: %+v", id, g)
					}
				}
			})
		})
	}
}

// TestWithdrawnConsentEndsCodes: of codes that are redeemed meanwhile nothing is left over.
func TestWithdrawnConsentEndsCodes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		x := newTenants(t, open())
		other := open()
		x.sso(t, "sso")
		u, err := x.FindUser(t.Context(), "acme", "alice")
		must(t, err)
		must(t, x.GiveConsent(t.Context(), consent.Consent{
			Project: "acme", UserID: u.ID, ClientID: "reports", Scopes: []string{"read"}, Since: noon,
		}))
		given, err := x.FindConsent(t.Context(), u.ID, "reports")
		must(t, err)
		const n = 50
		for i := range n {
			must(t, x.AddCode(t.Context(), codeFor("code"+strconv.Itoa(i), "sso"), ""))
		}
		var redeemed atomic.Int64
		atOnce(n+1, func(i int) {
			if i == n/2 {
				_, err := x.WithdrawConsent(t.Context(), given.ID, noon)
				if err != nil {
					t.Error(err)
				}
				return
			}
			id := strconv.Itoa(min(i, n-1))
			out, err := other.RedeemCode(t.Context(), bought(codeFor("code"+id, "sso"), "g"+strconv.Itoa(i)), noon)
			if err != nil {
				t.Error(err)
			}
			if out.Verdict == authorization.Redeemed {
				redeemed.Add(1)
			}
		})
		t.Logf("%d of %d were redeemed before", redeemed.Load(), n)
		for i := range n + 1 {
			g, err := x.FindGrant(t.Context(), "g"+strconv.Itoa(i))
			if err == nil && g.Revoked.IsZero() {
				t.Errorf("g%d goes on", i)
			}
		}
		x.redeemed(t, bought(codeFor("code"+strconv.Itoa(n/2), "sso"), "late"), noon, authorization.Unknown)
	})
}

func pushedFor(hash string) authorization.Pushed {
	return authorization.Pushed{
		Hash:       hash,
		ClientID:   "reports",
		Parameters: authorization.Parameters{"state": {"a&b=ü"}, "resource": {"x", "y"}},
		Expires:    noon.Add(time.Minute),
	}
}

func TestPushedRequestIsCompletedOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		x := newTenants(t, open())
		nodes := []*Store{x.Store, open()}
		x.sso(t, "sso")
		want := pushedFor("pushed")
		must(t, x.AddPushed(t.Context(), want))
		if got, err := nodes[1].FindPushed(t.Context(), "pushed"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("came back as %+v, %v", got, err)
		}
		if _, err := x.FindPushed(t.Context(), "absent"); !errors.Is(err, authorization.ErrNoPushed) {
			t.Errorf("an absent one: %v", err)
		}

		// What fails uses nothing up.
		overtaken := codeFor("overtaken", "another session")
		if err := x.AddCode(t.Context(), overtaken, "pushed"); !errors.Is(err, authorization.ErrOvertaken) {
			t.Errorf("a session that is none: %v", err)
		}
		foreign := codeFor("foreign", "sso")
		foreign.ClientID = "other"
		must(t, x.AddClient(t.Context(), clients.Client{ID: "other", Project: "acme", Active: true, Created: noon}))
		late := codeFor("late", "sso")
		late.Created = want.Expires
		for _, c := range []authorization.Code{foreign, late} {
			if err := x.AddCode(t.Context(), c, "pushed"); !errors.Is(err, authorization.ErrPushedUsed) {
				t.Errorf("%s: %v", c.Hash, err)
			}
			if _, _, err := x.FindCode(t.Context(), c.Hash); !errors.Is(err, issuance.ErrNoCode) {
				t.Errorf("%s is there: %v", c.Hash, err)
			}
		}

		var added, used atomic.Int64
		atOnce(200, func(i int) {
			switch err := nodes[i%2].AddCode(t.Context(), codeFor("code"+strconv.Itoa(i), "sso"), "pushed"); {
			case err == nil:
				added.Add(1)
			case errors.Is(err, authorization.ErrPushedUsed):
				used.Add(1)
			default:
				t.Error(err)
			}
		})
		if added.Load() != 1 || used.Load() != 199 {
			t.Errorf("%d completed it, %d were told that it is used", added.Load(), used.Load())
		}
		if got, err := x.FindPushed(t.Context(), "pushed"); err != nil || got.Used == "" {
			t.Errorf("afterwards %+v, %v", got, err)
		}
	})
}

func TestJanitorForgetsCodesThatAreOfNoUse(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		x := newTenants(t, open())
		x.sso(t, "sso")
		used, unused := codeFor("used", "sso"), codeFor("unused", "sso")
		must(t, x.AddCode(t.Context(), used, ""))
		must(t, x.AddCode(t.Context(), unused, ""))
		x.redeemed(t, bought(used, "bought"), noon, authorization.Redeemed)
		must(t, x.AddPushed(t.Context(), pushedFor("pushed")))
		ends := bought(used, "bought").Grant.Ends
		for _, c := range []struct {
			name   string
			before time.Time
			codes  int
			pushed int
		}{
			{"nothing is over", noon.Add(time.Minute), 0, 0},
			{"an unused code", noon.Add(time.Minute + time.Millisecond), 1, 1},
			{"what it bought lives", ends, 0, 0},
			{"what it bought is over", ends.Add(time.Millisecond), 1, 0},
		} {
			codes, err := x.DeleteCodes(t.Context(), c.before, 10)
			must(t, err)
			pushed, err := x.DeletePushed(t.Context(), c.before, 10)
			must(t, err)
			if codes != c.codes || pushed != c.pushed {
				t.Errorf("%s: %d codes and %d pushed requests were deleted, want %d and %d", c.name, codes, pushed,
					c.codes, c.pushed)
			}
		}
	})
}
