package sqlstore

import (
	"errors"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// firstParty is a request for a sign-in.
func firstParty(subject, kind string) session.GrantRequest {
	r := requestFor(subject, 0)
	r.ClientID, r.Kind = clients.FirstParty, kind
	return r
}

// again signs Alice in, in a browser that has older sign-ins.
func (n *notifying) again(t *testing.T, older ...string) (session.Issued, error) {
	t.Helper()
	p, err := n.store.FindParties(t.Context(), "default", clients.FirstParty, "alice")
	must(t, err)
	r := firstParty("Alice", issuance.BrowserGrant)
	r.Epoch = p.Epoch
	issued, err := n.New(r, noon)
	must(t, err)
	return issued, n.store.AddSignIn(t.Context(), issuance.Record{Grant: issued.Grant, User: p.User, Older: older})
}

// TestASignInTakesOverOlderOnes of the same person, with what was granted under them, which then ends
// with the newest; clients are told by the `sid` that they know.
func TestASignInTakesOverOlderOnes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		n := newNotifying(t, open())
		n.DenyList = new(revocation.DenyList)
		first, err := n.again(t)
		must(t, err)
		n.sso = first
		child := n.child(t, "reports")
		bob, api := begun(t, n.Service, firstParty("bob", "browser")), begun(t, n.Service, firstParty("Alice", "api"))
		ended, err := n.again(t)
		must(t, err)
		must(t, n.RevokeFamily(t.Context(), ended.Grant.ID, "logout", noon))

		second, err := n.again(t,
			first.Grant.ID, bob.Grant.ID, api.Grant.ID, ended.Grant.ID, child.Grant.ID, "none", "")
		must(t, err)
		third, err := n.again(t, second.Grant.ID)
		must(t, err)
		for _, c := range []struct {
			name   string
			of     session.Issued
			parent string
		}{
			{"the first", first, third.Grant.ID},
			{"the second", second, third.Grant.ID},
			{"the newest", third, ""},
			{"what a client has under the first", child, first.Grant.ID},
			{"another person's", bob, ""},
			{"a program's", api, ""},
			{"one that has ended", ended, ""},
			{"another client's", n.independently, ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				if g, err := n.store.FindGrant(t.Context(), c.of.Grant.ID); err != nil || g.Parent != c.parent {
					t.Errorf("it stands under %q, want %q: %v", g.Parent, c.parent, err)
				}
			})
		}
		if child, err = use(t.Context(), n.Service, child.RefreshToken, "reports", noon); err != nil {
			t.Errorf("what a client has under the first: %v", err)
		}

		must(t, n.RevokeFamily(t.Context(), third.Grant.ID, "logout", noon))
		for _, i := range []session.Issued{first, second, third, child} {
			if g, err := n.store.FindGrant(t.Context(), i.Grant.ID); err != nil || g.RevokedFor != "logout" {
				t.Errorf("%+v, %v", g, err)
			}
			if n.DenyList.Denied(subjectOf(i)) == "" {
				t.Error("this node still admits its access token")
			}
		}
		checkAllDenied(t, n.Service, []session.Issued{first, second, third, child})
		for _, i := range []session.Issued{bob, api, n.independently} {
			if g, err := n.store.FindGrant(t.Context(), i.Grant.ID); err != nil || !g.Revoked.IsZero() {
				t.Errorf("%+v, %v", g, err)
			}
		}
		notices := n.taken(t, noon.Add(time.Minute))
		if len(notices) != 1 || notices[0].ClientID != "reports" || notices[0].Session != first.Grant.ID {
			t.Errorf("notices %+v, want one of %s", notices, first.Grant.ID)
		}
	})
}

// TestARefusedSignInTakesOverNothing.
func TestARefusedSignInTakesOverNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		n := newNotifying(t, open())
		first, err := n.again(t)
		must(t, err)
		p, err := n.store.FindParties(t.Context(), "default", clients.FirstParty, "alice")
		must(t, err)
		n.revokeAll(t, revocation.ClientKind, clients.FirstParty)
		g := first.Grant
		g.ID, g.Epoch = "late", p.Epoch
		r := issuance.Record{Grant: g, User: p.User, Older: []string{first.Grant.ID}}
		if err := n.store.AddSignIn(t.Context(), r); !errors.Is(err, session.ErrOvertaken) {
			t.Fatalf("%v, want ErrOvertaken", err)
		}
		if g, err := n.store.FindGrant(t.Context(), first.Grant.ID); err != nil || g.Parent != "" {
			t.Errorf("it stands under %q: %v", g.Parent, err)
		}
	})
}
