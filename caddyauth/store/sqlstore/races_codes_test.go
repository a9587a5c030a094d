package sqlstore

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/device"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/possession"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const codeVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

// authorized is a code of alice's session "sso", and the exchange that it is good for.
func (n *issuing) authorized(t *testing.T, raw string) issuance.CodeExchange {
	t.Helper()
	code := freeCode(raw)
	epoch, err := n.store.Epoch(t.Context())
	must(t, err)
	code.Epoch = epoch
	must(t, n.store.AddCode(t.Context(), code, ""))
	return issuance.CodeExchange{
		Code:        raw,
		ClientID:    code.ClientID,
		RedirectURI: code.RedirectURI,
		Verifier:    codeVerifier,
		Now:         noon,
	}
}

// freeCode is a code that is bound to no key, for what its client may have.
func freeCode(raw string) authorization.Code {
	code := codeFor(secrets.Hash(raw), "sso")
	code.Scopes, code.Audience = []string{"read"}, []string{"web"}
	code.JKT, code.Challenge = "", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636, appendix B
	return code
}

// exchange presents a code. Only a refusal may be in its way.
func (n *issuing) exchange(
	t *testing.T,
	e issuance.CodeExchange,
	into *issued,
) (issuance.Issued, authorization.Verdict) {
	got, err := n.ExchangeCode(t.Context(), e)
	if refusal, refused := errors.AsType[*issuance.CodeRefusal](err); refused {
		return issuance.Issued{}, refusal.Verdict
	}
	if err != nil {
		t.Error(err)
		return issuance.Issued{}, ""
	}
	into.add(got.AccessToken)
	return got.Issued, authorization.Redeemed
}

// TestAReplayEndsWhatItsCodeBought: a code is presented again while it is redeemed, or while what it
// bought is refreshed. One exchange gets tokens, every other one is told that the code was used, and
// of what it bought nothing is good afterwards.
func TestAReplayEndsWhatItsCodeBought(t *testing.T) {
	for _, c := range []struct {
		name      string
		refreshes bool
	}{{"while it is redeemed", false}, {"while its tokens are refreshed", true}} {
		t.Run(c.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				nodes := issuingNodes(t, open)
				nodes[0].tenants.sso(t, "sso")
				exchange := nodes[0].authorized(t, "code")
				var got issued
				var mu sync.Mutex
				var bought issuance.Issued
				redeemed, replayed := 0, 0
				present := func(n *issuing) {
					tokens, verdict := n.exchange(t, exchange, &got)
					mu.Lock()
					defer mu.Unlock()
					switch verdict {
					case authorization.Redeemed:
						redeemed++
						bought = tokens
					case authorization.Replayed:
						replayed++
					default:
						t.Errorf("verdict %q", verdict)
					}
				}
				want := parallel - 1
				if c.refreshes {
					present(nodes[0])
					want = parallel / 2
				}
				first := bought.RefreshToken
				atOnce(parallel, func(i int) {
					if c.refreshes && i%4 < 2 {
						nodes[i%2].refresh(t, first, &got)
						return
					}
					present(nodes[i%2])
				})
				if redeemed != 1 || replayed != want {
					t.Fatalf("%d redeemed, %d replayed; want 1 and %d", redeemed, replayed, want)
				}
				got.denied(t, nodes[0], never)
				before := len(got.all)
				nodes[1].refresh(t, bought.RefreshToken, &got)
				if len(got.all) != before {
					t.Error("what the code bought goes on")
				}
			})
		})
	}
}

// deviceRace is one device, about which people decide and which polls meanwhile.
type deviceRace struct {
	device.Authorization
	code     string
	mu       sync.Mutex
	allowed  bool
	decided  int
	tokens   issued
	verdicts map[device.Verdict]int
}

func (d *deviceRace) decide(t *testing.T, n *issuing, allow bool) {
	switch err := n.store.DecideDevice(t.Context(), d.Hash, byAlice("sso"), allow, noon); {
	case err == nil:
		d.mu.Lock()
		defer d.mu.Unlock()
		d.decided++
		d.allowed = allow
	case !errors.Is(err, device.ErrDecided):
		t.Error(err)
	}
}

func (d *deviceRace) poll(t *testing.T, n *issuing, now time.Time) device.Verdict {
	got, err := n.PollDevice(t.Context(),
		issuance.DevicePoll{Code: d.code, ClientID: "reports", Now: now})
	verdict := device.Granted
	if refusal, refused := errors.AsType[*issuance.DeviceRefusal](err); refused {
		verdict = refusal.Verdict
	} else if err != nil {
		t.Error(err)
	} else {
		d.tokens.add(got.AccessToken)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.verdicts[verdict]++
	return verdict
}

// TestADeviceIsDecidedOnceWhileItPolls: of each device that two people decide about while it polls
// twice, one decision counts. A refused one gets nothing. An allowed one gets tokens once: in the
// race, or with its next poll; a poll after that ends them.
func TestADeviceIsDecidedOnceWhileItPolls(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := issuingNodes(t, open)
		nodes[0].tenants.sso(t, "sso")
		devices := make([]*deviceRace, parallel/4)
		for i := range devices {
			asked := tvRequest()
			asked.JKT, asked.Scopes, asked.Audience = "", []string{"read"}, []string{"web"} // which the client has
			a, code := device.New(asked, device.DefaultLifetime, noon)
			must(t, nodes[0].store.AddDevice(t.Context(), a))
			devices[i] = &deviceRace{Authorization: a, code: code, verdicts: map[device.Verdict]int{}}
		}
		atOnce(parallel, func(i int) {
			d, node := devices[i/4], nodes[(i/2)%2]
			switch i % 4 {
			case 0, 3:
				d.decide(t, node, (i%4 == 0) != (i/4%2 == 0))
			default: // far enough apart that neither is told to slow down
				d.poll(t, node, noon.Add(time.Duration(i%4)*10*time.Second))
			}
		})
		for _, d := range devices {
			d.check(t, nodes[0])
		}
	})
}

// check demands what must hold of a device after the race.
func (d *deviceRace) check(t *testing.T, n *issuing) {
	t.Helper()
	if d.decided != 1 {
		t.Fatalf("%d decisions were stored", d.decided)
	}
	given, again := d.verdicts[device.Granted], d.verdicts[device.Replayed]
	if !d.allowed {
		if last := d.poll(t, n, noon.Add(time.Minute)); given+again > 0 || last != device.Refused {
			t.Errorf("refused, but polls came to %v, and then %s", d.verdicts, last)
		}
		return
	}
	if given > 1 || again > given || d.verdicts[device.StillOpen]+given+again != 2 {
		t.Errorf("allowed, and polls came to %v", d.verdicts)
	}
	d.tokens.denied(t, n, func(*token.Token) bool { return again == 0 })
	want := device.Granted // nothing is lost
	if given > 0 {
		want = device.Replayed
	}
	if last := d.poll(t, n, noon.Add(time.Minute)); last != want {
		t.Errorf("allowed, polls came to %v, and the next one to %s", d.verdicts, last)
	}
	d.tokens.denied(t, n, func(*token.Token) bool { return given == 0 })
}

// TestANewPasswordWinsOverAllThatItEnds: sessions are refreshed, codes redeemed and issued, and
// people sign in with the old password while it is changed. Whatever they got, in whatever order, is
// worth nothing afterwards, and who knows the new password signs in.
func TestANewPasswordWinsOverAllThatItEnds(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := issuingNodes(t, open)
		x := nodes[0].tenants
		x.sso(t, "sso")
		begun := nodes[0].session(t)
		exchanges := make([]issuance.CodeExchange, parallel)
		for i := range exchanges {
			exchanges[i] = nodes[0].authorized(t, fmt.Sprint("code ", i))
		}
		var got, refresh issued
		atOnce(parallel+1, func(i int) {
			n := nodes[i%2]
			switch {
			case i == parallel/2:
				got.awaitSome(t)
				changePassword(t, nodes[1], x.user)
			case i%4 == 0:
				n.refresh(t, begun.RefreshToken, &got)
			case i%4 == 1:
				n.authorizedLate(t, fmt.Sprint("late ", i))
			case i%4 == 2:
				n.signsIn(t, "h", &got, &refresh)
			default:
				if tokens, _ := n.exchange(t, exchanges[i], &got); tokens.RefreshToken != "" {
					refresh.add(tokens.RefreshToken)
				}
			}
		})
		got.denied(t, nodes[0], never)
		t.Logf("%d tokens were issued before", len(got.all))
		before := len(got.all)
		nodes[0].refresh(t, begun.RefreshToken, &got)
		for _, raw := range refresh.all {
			nodes[0].refresh(t, raw, &got)
		}
		for i := range parallel {
			nodes[0].exchange(t, exchanges[i], &got)
			late := exchanges[i]
			late.Code = fmt.Sprint("late ", i)
			nodes[1].exchange(t, late, &got)
		}
		nodes[1].signsIn(t, "h", &got, &refresh)
		if n := len(got.all) - before; n != 0 {
			t.Errorf("%d tokens were issued after the change", n)
		}
		var after issued
		nodes[1].signsIn(t, "another", &after, &refresh)
		after.denied(t, nodes[0], func(*token.Token) bool { return len(after.all) == 1 })
		if len(after.all) != 1 {
			t.Error("who knows the new password does not get in")
		}
	})
}

// changePassword is what the management API does.
func changePassword(t *testing.T, n *issuing, u identity.User) {
	_, err := n.store.SetPassword(t.Context(), u.ID, 0, "another", noon)
	if err == nil {
		_, err = n.Sessions.RevokeAll(t.Context(), revocation.Revocation{
			Kind: revocation.UserKind, Project: u.Project, ID: u.Name, Reason: "password_changed",
		}, noon)
	}
	if err != nil {
		t.Error(err)
	}
}

// authorizedLate adds a code as /authorize does for a person who is signed in: if their session stands.
func (n *issuing) authorizedLate(t *testing.T, raw string) {
	err := n.store.AddCode(t.Context(), freeCode(raw), "")
	if err != nil && !errors.Is(err, authorization.ErrOvertaken) {
		t.Error(err)
	}
}

// signsIn is alice at the login page; hash stands for the password that she knows.
func (n *issuing) signsIn(t *testing.T, hash string, access, refresh *issued) {
	p, err := n.store.FindParties(t.Context(), "acme", "reports", "alice")
	if err != nil {
		t.Error(err)
		return
	}
	if p.User.PasswordHash != hash {
		return
	}
	got, err := n.SignIn(t.Context(), issuance.SignIn{
		Parties: p, Kind: issuance.BrowserGrant, Action: "login", Audience: "api", Now: noon,
	})
	if _, refused := errors.AsType[*session.Refusal](err); err != nil && !refused {
		t.Error(err)
	}
	if err == nil {
		access.add(got.AccessToken)
		refresh.add(got.RefreshToken)
	}
}

// TestAProofPassesOnceOnTwoNodes: of 200 requests with one DPoP proof, at two nodes that have nothing
// but the store in common, one passes; the others are refused for the proof.
func TestAProofPassesOnceOnTwoNodes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := make([]*possession.Checker, 2)
		for i := range nodes {
			nodes[i] = &possession.Checker{
				URL:     func(*http.Request) string { return "https://app.example/items" },
				UseOnce: (&replay.Local{Store: open()}).UseOnce,
			}
		}
		client := dpoptest.New(t, "ES256")
		s := issuingNodes(t, open)[0]
		raw, err := token.Mint(s.key, "at+jwt", token.Claims{
			Issuer:   "https://iss",
			Subject:  "Alice",
			Audience: []string{"api"},
			IssuedAt: noon,
			Expiry:   noon.Add(time.Hour),
			ID:       "1",
			Protocol: map[string]any{"cnf": map[string]any{"jkt": client.Thumbprint}},
		})
		must(t, err)
		bound, err := s.verifier.Verify(t.Context(), raw)
		must(t, err)
		proof := client.Proof(t, "GET", "https://app.example/items", raw, noon, nil)
		var passed, refused atomic.Int64
		atOnce(parallel, func(i int) {
			r := httptest.NewRequest("GET", "https://app.example/items", nil)
			r.Header.Set("DPoP", proof)
			switch err := nodes[i%2].Check(r, bound, true, noon); {
			case err == nil:
				passed.Add(1)
			case gate.ReasonOf(err) == gate.InvalidProof:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
		if passed.Load() != 1 || refused.Load() != parallel-1 {
			t.Errorf("%d passed, %d were refused", passed.Load(), refused.Load())
		}
	})
}
