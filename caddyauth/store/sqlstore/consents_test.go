package sqlstore

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// allowed is what a person allows a client.
func allowed(u identity.User, clientID string, since time.Time, scopes ...string) consent.Consent {
	return consent.Consent{
		Project:   u.Project,
		UserID:    u.ID,
		ClientID:  clientID,
		Scopes:    scopes,
		Resources: []string{"https://api.example.com/"},
		Since:     since,
	}
}

func TestConsentsAddUp(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, u := started(t, open), alice()
		must(t, s.AddUser(t.Context(), u))
		_, err := s.FindConsent(t.Context(), u.ID, "reports")
		fails(t, err, consent.ErrNotFound)
		must(t, s.GiveConsent(t.Context(), allowed(u, "reports", noon, "write", "read")))
		must(t, s.GiveConsent(t.Context(), allowed(u, "reports", noon.Add(time.Hour), "email")))
		got, err := s.FindConsent(t.Context(), u.ID, "reports")
		must(t, err)
		want := allowed(u, "reports", noon.Add(time.Hour), "email", "read", "write")
		want.ID, want.User = got.ID, u.Name
		same(t, got, want)

		stranger := u
		stranger.ID = project.NewID()
		fails(t, s.GiveConsent(t.Context(), allowed(stranger, "reports", noon, "read")), consent.ErrNotFound)
	})
}

// Of tabs that allow different things at the same time none takes away what another allowed.
func TestConsentsOfParallelTabsAddUp(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes, u := []*Store{started(t, open), open()}, alice()
		must(t, nodes[0].AddUser(t.Context(), u))
		atOnce(40, func(i int) {
			if err := nodes[i%2].GiveConsent(t.Context(), allowed(u, "reports", noon, strconv.Itoa(i))); err != nil {
				t.Error(err)
			}
		})
		got, err := nodes[0].FindConsent(t.Context(), u.ID, "reports")
		must(t, err)
		if len(got.Scopes) != 40 {
			t.Errorf("%d of 40 scopes are allowed: %q", len(got.Scopes), got.Scopes)
		}
	})
}

func TestConsentsAreListed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, a, b := started(t, open), alice(), alice()
		b.ID, b.Name = project.NewID(), "Bob"
		must(t, s.AddUser(t.Context(), a))
		must(t, s.AddUser(t.Context(), b))
		for _, c := range []consent.Consent{
			allowed(a, "one", noon, "x"), allowed(a, "two", noon, "x"), allowed(b, "one", noon, "x"),
		} {
			must(t, s.GiveConsent(t.Context(), c))
		}
		rows := []struct {
			name string
			f    consent.Filter
			want []string
		}{
			{"all", consent.Filter{}, []string{"Alice one", "Alice two", "Bob one"}},
			{"of a person", consent.Filter{UserID: a.ID}, []string{"Alice one", "Alice two"}},
			{"to a client", consent.Filter{ClientID: "one"}, []string{"Alice one", "Bob one"}},
			{"of a project", consent.Filter{Project: "default"}, []string{"Alice one", "Alice two", "Bob one"}},
			{"of another project", consent.Filter{Project: "acme"}, nil},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				var got []string
				for f := row.f; ; {
					f.Limit = 2
					page, err := s.ListConsents(t.Context(), f)
					must(t, err)
					for _, c := range page {
						got = append(got, c.User+" "+c.ClientID)
					}
					if len(page) < f.Limit {
						break
					}
					f.After = page[1].ID
				}
				slices.Sort(got)
				same(t, got, row.want)
			})
		}
	})
}

// Withdrawing ends what the client was granted by that person, and nothing else.
func TestWithdrawnConsentEndsGrants(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, u := started(t, open), alice()
		must(t, s.AddUser(t.Context(), u))
		must(t, s.GiveConsent(t.Context(), allowed(u, "rp", noon, "read")))
		node := sessionsOn(s)
		mine := requestFor(u.Name, 0)
		mine.ClientID = "rp"
		others := requestFor("Bob", 0)
		others.ClientID = "rp"
		granted, browser := begun(t, node, mine), begun(t, node, requestFor(u.Name, 0))
		stranger := begun(t, node, others)
		stands, err := s.FindConsent(t.Context(), u.ID, "rp")
		must(t, err)

		service := &consent.Service{Store: s, DenyList: new(revocation.DenyList)}
		must(t, service.Withdraw(t.Context(), stands.ID, noon))
		fails(t, service.Withdraw(t.Context(), stands.ID, noon), consent.ErrNotFound)

		_, err = use(t.Context(), node, granted.RefreshToken, "rp", noon)
		refusedAs(t, err, session.Ended)
		if service.DenyList.Denied(subjectOf(granted)) == "" {
			t.Error("the access token is not denied")
		}
		for _, kept := range []session.Issued{browser, stranger} {
			if _, err := use(t.Context(), node, kept.RefreshToken, kept.Grant.ClientID, noon); err != nil {
				t.Errorf("%s of %s: %v", kept.Grant.ClientID, kept.Grant.Subject, err)
			}
		}
	})
}

// What was allowed goes with the person, the client and the project.
func TestConsentsGoWithWhomTheyAreAbout(t *testing.T) {
	rows := []struct {
		name   string
		remove func(t *testing.T, s *Store, u identity.User)
	}{
		{"user", func(t *testing.T, s *Store, u identity.User) { must(t, s.RemoveUser(t.Context(), u.ID, 0)) }},
		{"client", func(t *testing.T, s *Store, _ identity.User) {
			must(t, s.RemoveClient(t.Context(), "reports", 0))
		}},
		{"project", func(t *testing.T, s *Store, _ identity.User) {
			p, err := s.FindProject(t.Context(), "acme")
			must(t, err)
			must(t, s.RemoveProject(t.Context(), p.ID, 0))
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				s, u := started(t, open), alice()
				u.Project = "acme"
				must(t, s.AddProject(t.Context(), acme()))
				must(t, s.AddClient(t.Context(), reports("acme")))
				must(t, s.AddUser(t.Context(), u))
				must(t, s.GiveConsent(t.Context(), allowed(u, "reports", noon, "read")))
				row.remove(t, s, u)
				found, err := s.ListConsents(t.Context(), consent.Filter{Limit: 10})
				if err != nil || len(found) > 0 {
					t.Errorf("left over: %+v, %v", found, err)
				}
			})
		})
	}
}
