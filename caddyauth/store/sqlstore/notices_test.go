package sqlstore

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/backchannel"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// notifying is a store with the client "reports", which wants notices, and "quiet", which does not,
// and a sign-in of Alice under which both were granted something.
type notifying struct {
	*session.Service
	store                *Store
	sso, told, quiet     session.Issued
	other, independently session.Issued
}

func newNotifying(t *testing.T, s *Store) *notifying {
	t.Helper()
	reconcile(t, s, Declaration{})
	must(t, s.AddProject(t.Context(), acme()))
	must(t, s.AddUser(t.Context(), alice()))
	must(t, s.AddClient(t.Context(), reports("acme")))
	quiet := reports("acme")
	quiet.ID, quiet.Settings = "quiet", clients.Settings{
		URI: `https://quiet.example/?"backchannel_logout_uri":"https://x.example"`,
	}
	must(t, s.AddClient(t.Context(), quiet))
	n := &notifying{Service: sessionsOn(s), store: s}
	n.sso, n.other = begun(t, n.Service, requestFor("Alice", 0)), begun(t, n.Service, requestFor("bob", 0))
	n.told, n.quiet = n.child(t, "reports"), n.child(t, "quiet")
	independently := requestFor("Alice", 0)
	independently.ClientID = "reports"
	n.independently = begun(t, n.Service, independently)
	return n
}

// child grants a client something under the sign-in.
func (n *notifying) child(t *testing.T, client string) session.Issued {
	t.Helper()
	r := requestFor("Alice", 0)
	r.ClientID, r.Parent = client, n.sso.Grant.ID
	return begun(t, n.Service, r)
}

// taken are the notices that are due at a time.
func (n *notifying) taken(t *testing.T, now time.Time) []backchannel.Notice {
	t.Helper()
	all, err := n.store.TakeNotices(t.Context(), now, 10, nil)
	must(t, err)
	return all
}

// Whatever ends a sign-in or a grant writes the notices of it.
func TestClientsAreNotifiedOfWhatEnds(t *testing.T) {
	everything := func(n *notifying) []string { return []string{n.sso.Grant.ID, n.independently.Grant.ID} }
	signIn := func(n *notifying) []string { return []string{n.sso.Grant.ID} }
	nothing := func(*notifying) []string { return nil }
	for _, row := range []struct {
		name string
		end  func(t *testing.T, n *notifying)
		want func(n *notifying) []string // sid
	}{
		{"sign-out", func(t *testing.T, n *notifying) {
			must(t, n.RevokeFamily(t.Context(), n.sso.Grant.ID, "logout", noon))
		}, signIn},
		{"sign-out, with several grants", func(t *testing.T, n *notifying) {
			n.child(t, "reports")
			must(t, n.RevokeFamily(t.Context(), n.sso.Grant.ID, "logout", noon))
		}, signIn},
		{"sign-out, after the client's grant", func(t *testing.T, n *notifying) {
			must(t, n.RevokeFamily(t.Context(), n.told.Grant.ID, session.RevokedByClient, noon))
			must(t, n.RevokeFamily(t.Context(), n.sso.Grant.ID, "logout", noon))
		}, signIn},
		{"another sign-in", func(t *testing.T, n *notifying) {
			must(t, n.RevokeFamily(t.Context(), n.other.Grant.ID, "logout", noon))
		}, nothing},
		{"one grant, by an operator", func(t *testing.T, n *notifying) {
			must(t, n.RevokeFamily(t.Context(), n.independently.Grant.ID, "revoked", noon))
		}, func(n *notifying) []string { return []string{n.independently.Grant.ID} }},
		{"one grant, by its client", func(t *testing.T, n *notifying) {
			must(t, n.Revoke(t.Context(), n.told.RefreshToken, "reports", session.RevokedByClient, noon))
		}, nothing},
		{"reuse", func(t *testing.T, n *notifying) {
			for _, at := range []time.Duration{0, time.Minute} {
				_, _ = use(t.Context(), n.Service, n.sso.RefreshToken, "web", noon.Add(at))
			}
		}, signIn},
		{"user", func(t *testing.T, n *notifying) { n.revokeAll(t, revocation.UserKind, "Alice") }, everything},
		{"client", func(t *testing.T, n *notifying) { n.revokeAll(t, revocation.ClientKind, "reports") }, everything},
		{"project", func(t *testing.T, n *notifying) { n.revokeAll(t, revocation.ProjectKind, "") }, everything},
		{"another user", func(t *testing.T, n *notifying) { n.revokeAll(t, revocation.UserKind, "bob") }, nothing},
		{"consent withdrawn", func(t *testing.T, n *notifying) {
			person, err := n.store.FindUser(t.Context(), "default", "alice")
			must(t, err)
			must(t, n.store.GiveConsent(t.Context(), allowed(*person, "reports", noon, "read")))
			given, err := n.store.FindConsent(t.Context(), person.ID, "reports")
			must(t, err)
			_, err = n.store.WithdrawConsent(t.Context(), given.ID, noon)
			must(t, err)
		}, everything},
		{"user, declared as inactive", func(t *testing.T, n *notifying) {
			person := alice()
			person.ID, person.Disabled = "", true
			reconcile(t, n.store, Declaration{Users: []identity.User{person}})
		}, everything},
	} {
		t.Run(row.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				n := newNotifying(t, open())
				row.end(t, n)
				var got []string
				for _, notice := range n.taken(t, noon.Add(time.Minute)) {
					if notice.ClientID != "reports" || notice.URI != everySetting.BackchannelLogoutURI ||
						notice.Algorithm != "ES256" || notice.Project != "default" || notice.Subject != "Alice" ||
						notice.Attempts != 1 {
						t.Errorf("%+v", notice)
					}
					got = append(got, notice.Session)
				}
				want := row.want(n)
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("notices of %q, want %q", got, want)
				}
			})
		})
	}
}

func (n *notifying) revokeAll(t *testing.T, kind revocation.Kind, id string) {
	t.Helper()
	_, err := n.RevokeAll(t.Context(),
		revocation.Revocation{Kind: kind, Project: "default", ID: id, Reason: "disabled"}, noon)
	must(t, err)
}

// Of many nodes one takes a notice. Who has it no longer changes nothing.
func TestNoticeIsTakenByOne(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open()}
		n := newNotifying(t, nodes[0])
		must(t, n.RevokeFamily(t.Context(), n.sso.Grant.ID, "logout", noon))
		var mu sync.Mutex
		var all []backchannel.Notice
		atOnce(200, func(i int) {
			taken, err := nodes[i%2].TakeNotices(t.Context(), noon, 10, nil)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			all = append(all, taken...)
			mu.Unlock()
		})
		if len(all) != 1 {
			t.Fatalf("taken %d times", len(all))
		}
		first := all[0]
		if again := n.taken(t, noon.Add(backchannel.Lease-1)); len(again) != 0 {
			t.Errorf("within the lease: %+v", again)
		}
		second := n.taken(t, noon.Add(backchannel.Lease))
		if len(second) != 1 || second[0].Attempts != 2 || !second[0].Expires.Equal(noon.Add(backchannel.Lifetime)) {
			t.Fatalf("after the lease: %+v", second)
		}

		must(t, nodes[0].KeepNotice(t.Context(), first, noon))
		must(t, nodes[0].DropNotice(t.Context(), first))
		if stale := n.taken(t, noon.Add(backchannel.Lease)); len(stale) != 0 {
			t.Errorf("by who had it before: %+v", stale)
		}
		must(t, nodes[1].KeepNotice(t.Context(), second[0], noon))
		third := n.taken(t, noon)
		if len(third) != 1 {
			t.Fatalf("given back: %+v", third)
		}
		must(t, nodes[1].DropNotice(t.Context(), third[0]))
		if left := n.taken(t, noon.Add(time.Hour)); len(left) != 0 {
			t.Errorf("dropped: %+v", left)
		}
	})
}

// Those of clients that are busy are left for later.
func TestNoticesOfSomeClientsAreLeft(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		n := newNotifying(t, open())
		must(t, n.RevokeFamily(t.Context(), n.sso.Grant.ID, "logout", noon))
		for _, row := range []struct {
			except []string
			want   int
		}{{[]string{"x", "reports"}, 0}, {[]string{"reports"}, 0}, {[]string{"x", "y"}, 1}} {
			taken, err := n.store.TakeNotices(t.Context(), noon, 10, row.except)
			if err != nil || len(taken) != row.want {
				t.Errorf("except %q: %+v, %v", row.except, taken, err)
			}
		}
	})
}

// A notice goes where the client is then; nowhere, if there is none.
func TestNoticeGoesWhereTheClientIs(t *testing.T) {
	for _, row := range []struct {
		name, want string
		change     func(t *testing.T, s *Store)
	}{
		{"moved", "https://elsewhere.example/", func(t *testing.T, s *Store) {
			c, err := s.FindClient(t.Context(), "reports")
			must(t, err)
			c.BackchannelLogoutURI = "https://elsewhere.example/"
			_, err = s.ChangeClient(t.Context(), c, noon)
			must(t, err)
		}},
		{"removed", "", func(t *testing.T, s *Store) { must(t, s.RemoveClient(t.Context(), "reports", 0)) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				n := newNotifying(t, open())
				must(t, n.RevokeFamily(t.Context(), n.sso.Grant.ID, "logout", noon))
				row.change(t, n.store)
				if got := n.taken(t, noon); len(got) != 1 || got[0].URI != row.want {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// A grant that is over is known until the sign-in is, for the client that wants to be told of it.
func TestClientIsKnownUntilTheSignInEnds(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		n := newNotifying(t, open())
		later := noon
		for range 3 { // the sign-in goes on, and the grants of the clients do not
			later = later.Add(20 * time.Hour)
			var err error
			n.sso, err = use(t.Context(), n.Service, n.sso.RefreshToken, "web", later)
			must(t, err)
		}
		_, err := n.store.DeleteOver(t.Context(), later, 100)
		must(t, err)
		if _, err := n.store.FindGrant(t.Context(), n.quiet.Grant.ID); err == nil {
			t.Error("the grant of a client that is not told stands")
		}
		must(t, n.RevokeFamily(t.Context(), n.sso.Grant.ID, "logout", later))
		if got := n.taken(t, later); len(got) != 1 || got[0].Session != n.sso.Grant.ID {
			t.Errorf("%+v", got)
		}
		_, err = n.store.DeleteOver(t.Context(), later, 100)
		must(t, err)
		if _, err := n.store.FindGrant(t.Context(), n.told.Grant.ID); err == nil {
			t.Error("after the sign-in, the grant stands")
		}
	})
}

// What a person allowed while they are not signed in goes on when the sign-in ends, and its client is
// told nevertheless, by the `sid` that it knows, also where that grant was over before. Where that grant
// ends by itself, its client is told of it.
func TestClientsOfOfflineGrantsAreTold(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		n := newNotifying(t, open())
		offline := func(signIn session.Issued) session.Issued {
			r := requestFor("Alice", 0)
			r.ClientID, r.SignIn, r.Offline = "reports", signIn.Grant.ID, true
			return begun(t, n.Service, r)
		}
		signIn, another := begun(t, n.Service, requestFor("Alice", 0)), begun(t, n.Service, requestFor("Alice", 0))
		kept, over := offline(signIn), offline(another)
		told := func(name string, now time.Time, want ...string) {
			t.Helper()
			var got []string
			for _, notice := range n.taken(t, now) {
				got = append(got, notice.Session)
				must(t, n.store.DropNotice(t.Context(), notice))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: notices of %q, want %q", name, got, want)
			}
		}

		must(t, n.RevokeFamily(t.Context(), signIn.Grant.ID, "logout", noon))
		told("sign-out", noon, signIn.Grant.ID)
		if _, err := use(t.Context(), n.Service, kept.RefreshToken, "reports", noon); err != nil {
			t.Errorf("after the sign-out: %v", err)
		}
		must(t, n.RevokeFamily(t.Context(), kept.Grant.ID, "revoked", noon))
		told("the grant, by an operator", noon, signIn.Grant.ID)

		must(t, n.RevokeFamily(t.Context(), over.Grant.ID, session.RevokedByClient, noon))
		later := noon
		for range 3 { // the sign-in goes on
			later = later.Add(20 * time.Hour)
			var err error
			another, err = use(t.Context(), n.Service, another.RefreshToken, "web", later)
			must(t, err)
		}
		_, err := n.store.DeleteOver(t.Context(), later, 100)
		must(t, err)
		if _, err := n.store.FindGrant(t.Context(), kept.Grant.ID); err == nil {
			t.Error("the grant is kept although its sign-in is over")
		}
		must(t, n.RevokeFamily(t.Context(), another.Grant.ID, "logout", later))
		told("sign-out after the client's grant", later, another.Grant.ID)
	})
}

// The search for the address reads it from how settings are stored.
func TestSettingsSayWhoWantsNotices(t *testing.T) {
	text, err := settingsText(clients.Settings{BackchannelLogoutURI: "https://rp.example/"})
	must(t, err)
	if _, after, _ := strings.Cut(wantsNotices, "%"); !strings.Contains(text, strings.TrimSuffix(after, "%'")) {
		t.Errorf("%s does not match %s", text, wantsNotices)
	}
}
