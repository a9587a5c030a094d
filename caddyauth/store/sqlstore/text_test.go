package sqlstore

import (
	"errors"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// What no row can be named, nobody finds, on both databases: anybody can ask for it.
func TestNamesThatCannotBeAreNotFound(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		reconcile(t, s, Declaration{})
		must(t, s.AddClient(t.Context(), reports(project.Default)))
		for _, bad := range []string{"\x00", "reports\x00", "\xff", "reports\xc3"} {
			p, err := s.FindParties(t.Context(), project.Default, bad, bad)
			if err != nil || p.Client.ID != "" || p.User != nil || p.Project.Slug != project.Default || p.Epoch == 0 {
				t.Errorf("%q: parties %+v, %v", bad, p, err)
			}
			p, err = s.FindParties(t.Context(), bad, "reports", "")
			if err != nil || p.Client.ID != "reports" || p.Project.Slug != "" || p.Epoch == 0 {
				t.Errorf("%q: parties of a project %+v, %v", bad, p, err)
			}
			p, err = s.FindClientParties(t.Context(), bad, bad)
			if err != nil || p.Client.ID != "" || p.Epoch == 0 {
				t.Errorf("%q: parties of a client %+v, %v", bad, p, err)
			}
			if _, _, err := s.FindRegistered(t.Context(), bad); !errors.Is(err, clients.ErrNotFound) {
				t.Errorf("%q: a registration: %v", bad, err)
			}
			if _, err := s.FindClient(t.Context(), bad); !errors.Is(err, clients.ErrNotFound) {
				t.Errorf("%q: a client: %v", bad, err)
			}
			if _, err := s.FindProject(t.Context(), bad); !errors.Is(err, project.ErrNoProject) {
				t.Errorf("%q: a project: %v", bad, err)
			}
			if _, err := s.FindConsent(t.Context(), bad, "reports"); !errors.Is(err, consent.ErrNotFound) {
				t.Errorf("%q: a consent: %v", bad, err)
			}
			if all, err := s.ListClients(t.Context(), bad, project.Page{Limit: 9}); err != nil || len(all) > 0 {
				t.Errorf("%q: clients %v, %v", bad, all, err)
			}
		}
	})
}
