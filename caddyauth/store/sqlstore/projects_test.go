package sqlstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
)

// started opens a store into which an empty configuration was taken, so that the default project
// exists.
func started(t *testing.T, open func() *Store) *Store {
	t.Helper()
	s := open()
	reconcile(t, s, Declaration{})
	return s
}

func reconcile(t *testing.T, s *Store, d Declaration) []Ended {
	t.Helper()
	ended, err := s.Reconcile(t.Context(), d, noon)
	if err != nil {
		t.Fatal(err)
	}
	return ended
}

func acme() project.Project {
	return project.Project{
		ID: project.NewID(), Slug: "acme", Name: "Acme, Inc.", Active: true, Audiences: []string{"web", "api"},
		Lifetimes: project.Lifetimes{Code: 20 * time.Second, DeviceCode: 2 * time.Minute, IDToken: 3 * time.Minute},
		Override: project.Lifetimes{
			Access: 5 * time.Minute, Refresh: time.Hour, RefreshAbsolute: 24 * time.Hour,
			Code: 30 * time.Second, DeviceCode: 4 * time.Minute, IDToken: 5 * time.Minute,
		},
		RefreshWindow: time.Minute, RefreshCheck: 30 * time.Second,
		TokenOptions: project.TokenOptions{
			AccessTokenFormat: project.Opaque, RefreshRotation: project.Off, RefreshReuseInterval: 20 * time.Second,
		},
		RevocationOptions: project.RevocationOptions{
			RevokeRefreshOnPasswordChange: project.Off,
			RevokeAllOnLogout:             project.On,
		},
		Version: 1, Created: noon, Changed: noon,
	}
}

// keeps is revoke_refresh_on_password_change off.
var keeps = project.RevocationOptions{RevokeRefreshOnPasswordChange: project.Off}

func oneSecret(hash string) []clients.Secret { return []clients.Secret{{Number: 1, Hash: hash}} }

// everySetting has a value in each field; TestEverySettingIsStored notices one that is missing.
var everySetting = clients.Settings{
	RedirectURIs:           []string{"https://reports.example/cb", "http://127.0.0.1/cb"},
	PostLogoutRedirectURIs: []string{"https://reports.example/bye"},
	BackchannelLogoutURI:   "https://reports.example/logout",
	URI:                    "https://reports.example",
	GrantTypes:             clients.GrantTypes,
	ResponseModes:          clients.ResponseModes,
	Resources:              []string{"https://api.example"},
	AuthMethod:             clients.AuthSecretPost,
	JWKS:                   json.RawMessage(`{"keys":[{"kty":"EC"}]}`),
	JWKSURI:                "https://reports.example/keys",
	IDTokenAlgorithm:       "ES256",
	PKCEOptional:           true,
	PARRequired:            true,
	DPoPBound:              true,
	Consent:                clients.ConsentAlways,
	TokenExchange:          []string{"orders"},
	Introspection:          []string{"api", "https://api.example"},
	IdentityAssertions: []clients.AssertionAudience{
		{Issuer: "https://as.example", ClientID: "reports-there", Scopes: []string{"read"},
			Resources: []string{"https://r.example"}},
	},
	Preset:             clients.PresetFAPI2,
	Source:             clients.Registered,
	CertificateBound:   true,
	CertificateSubject: "CN=reports",
	CertificateDNS:     "reports.example",
	CertificateURI:     "spiffe://reports.example",
	CertificateIP:      "192.0.2.1",
	CertificateEmail:   "reports@example.com",
}

func TestEverySettingIsStored(t *testing.T) {
	settings := reflect.ValueOf(everySetting)
	for i := range settings.NumField() {
		if settings.Field(i).IsZero() {
			t.Errorf("everySetting has no %s", settings.Type().Field(i).Name)
		}
	}
}

func reports(slug string) clients.Client {
	return clients.Client{
		ID: "reports", Project: slug, Name: "Reports",
		Secrets: []clients.Secret{
			{Number: 1, Hash: secrets.Hash("s"), Expires: noon.Add(time.Hour)},
			{Number: 2, Hash: secrets.Hash("t"), Created: noon},
		},
		Settings: everySetting,
		TokenOptions: project.TokenOptions{
			AccessTokenFormat: project.Opaque, RefreshRotation: project.Off, RefreshReuseInterval: 30 * time.Second,
		},
		Audience: []string{"api"}, Scopes: []string{"read", "write"},
		Claims:    map[string]any{"tier": "gold"},
		Override:  project.Lifetimes{Access: time.Minute, Refresh: project.None, Code: time.Minute},
		Lifetimes: project.Lifetimes{DeviceCode: 10 * time.Minute, IDToken: 2 * time.Minute},
		Active:    true, Version: 1, Created: noon, Changed: noon,
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func fails(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestProjectComesBackWholeByIDAndSlug(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, p := open(), acme()
		must(t, s.AddProject(t.Context(), p))
		for _, name := range []string{p.ID, p.Slug} {
			got, err := s.FindProject(t.Context(), name)
			must(t, err)
			same(t, got, p)
		}
		_, err := s.FindProject(t.Context(), "other")
		fails(t, err, project.ErrNoProject)
	})
}

func TestTwoProjectsDoNotShareASlug(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		var added atomic.Int32
		atOnce(20, func(int) {
			switch err := s.AddProject(t.Context(), acme()); {
			case err == nil:
				added.Add(1)
			case !errors.Is(err, project.ErrTaken):
				t.Error(err)
			}
		})
		if added.Load() != 1 {
			t.Fatalf("%d were added", added.Load())
		}
	})
}

func TestOneOfManyChangesOfAVersionWins(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open()}
		p := acme()
		must(t, nodes[0].AddProject(t.Context(), p))
		var won atomic.Int32
		atOnce(20, func(i int) {
			mine := p
			mine.Name = fmt.Sprint("name ", i)
			after, err := nodes[i%2].ChangeProject(t.Context(), mine, noon.Add(time.Minute))
			switch {
			case err == nil && after.Version == 2 && after.Changed.Equal(noon.Add(time.Minute)):
				won.Add(1)
			case !errors.Is(err, project.ErrChanged):
				t.Errorf("%+v, %v", after, err)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("%d changes of one version were taken", won.Load())
		}
	})
}

func TestChangeLeavesWhatIsDeclaredAlone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		declared := project.Lifetimes{Access: 5 * time.Minute}
		reconcile(t, s, Declaration{Projects: []project.Project{{Slug: "acme", Lifetimes: declared}}})
		p, err := s.FindProject(t.Context(), "acme")
		must(t, err)
		p.Slug, p.Declared, p.Lifetimes, p.Override = "stolen", false, project.Lifetimes{}, project.Lifetimes{
			Access: time.Hour,
		}
		after, err := s.ChangeProject(t.Context(), p, noon)
		must(t, err)
		found, err := s.FindProject(t.Context(), "acme")
		must(t, err)
		same(t, after, found)
		if !found.Declared || found.Lifetimes != declared || found.Own().Access != time.Hour {
			t.Errorf("%+v", found)
		}
	})
}

func TestProjectsAreListedInPagesBySlug(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		for _, slug := range []string{"c", "a", "e", "b", "d"} {
			must(t, s.AddProject(t.Context(), project.Project{ID: project.NewID(), Slug: slug}))
		}
		var slugs string
		for page := (project.Page{Limit: 2}); ; {
			found, err := s.ListProjects(t.Context(), page)
			must(t, err)
			if len(found) == 0 {
				break
			}
			for _, p := range found {
				slugs += p.Slug
			}
			slugs += "|"
			page.After = found[len(found)-1].Slug
		}
		same(t, slugs, "ab|cd|e|")
	})
}

func TestProjectIsRemovedWithAllThatBelongsToIt(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, p := started(t, open), acme()
		must(t, s.AddProject(t.Context(), p))
		must(t, s.AddClient(t.Context(), reports("acme")))
		must(t, s.AddUser(t.Context(), identity.User{ID: "u", Project: "acme", Name: "alice", Created: noon}))
		token, _, err := apitoken.New("t", "acme", []string{apitoken.Read}, 0, noon)
		must(t, err)
		must(t, s.AddAPIToken(t.Context(), token))
		fails(t, s.RemoveProject(t.Context(), p.ID, 7), project.ErrChanged)
		must(t, s.RemoveProject(t.Context(), p.ID, 1))
		fails(t, s.RemoveProject(t.Context(), p.ID, 0), project.ErrNoProject)
		_, err = s.FindClient(t.Context(), "reports")
		fails(t, err, clients.ErrNotFound)
		_, err = s.FindUserByID(t.Context(), "u")
		fails(t, err, identity.ErrNoUser)
		_, err = s.FindAPIToken(t.Context(), token.ID)
		fails(t, err, apitoken.ErrNotFound)
	})
}

func TestDefaultProjectIsNeitherPausedNorRemoved(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := started(t, open)
		p, err := s.FindProject(t.Context(), project.Default)
		must(t, err)
		if !p.Active || p.Declared {
			t.Errorf("%+v", p)
		}
		fails(t, s.RemoveProject(t.Context(), p.ID, 0), project.ErrIsDefault)
		p.Active = false
		_, err = s.ChangeProject(t.Context(), p, noon)
		fails(t, err, project.ErrIsDefault)
	})
}

func TestClientComesBackWholeAndIsListedInItsProject(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := started(t, open)
		must(t, s.AddProject(t.Context(), acme()))
		c := reports("acme")
		fails(t, s.AddClient(t.Context(), reports("nowhere")), project.ErrNoProject)
		must(t, s.AddClient(t.Context(), c))
		fails(t, s.AddClient(t.Context(), reports("default")), project.ErrTaken)
		got, err := s.FindClient(t.Context(), "reports")
		must(t, err)
		same(t, got, c)
		must(t, s.AddClient(t.Context(), clients.Client{ID: "other", Project: "default", Created: noon}))
		for _, c := range []struct {
			slug string
			want int
		}{{"", 2}, {"acme", 1}, {"default", 1}, {"none", 0}} {
			t.Run(c.slug, func(t *testing.T) {
				found, err := s.ListClients(t.Context(), c.slug, project.Page{Limit: 10})
				if err != nil || len(found) != c.want {
					t.Errorf("%q: %d clients, %v; want %d", c.slug, len(found), err, c.want)
				}
			})
		}
	})
}

func TestClientIsChangedAndRemovedInItsVersion(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := started(t, open)
		must(t, s.AddClient(t.Context(), reports("default")))
		c, err := s.FindClient(t.Context(), "reports")
		must(t, err)
		c.Active, c.Project = false, "elsewhere"
		after, err := s.ChangeClient(t.Context(), c, noon)
		must(t, err)
		if after.Version != 2 || after.Active || after.Project != "default" {
			t.Errorf("%+v", after)
		}
		_, err = s.ChangeClient(t.Context(), c, noon)
		fails(t, err, project.ErrChanged)
		fails(t, s.RemoveClient(t.Context(), "reports", 1), project.ErrChanged)
		must(t, s.RemoveClient(t.Context(), "reports", 2))
		fails(t, s.RemoveClient(t.Context(), "reports", 0), clients.ErrNotFound)
		_, err = s.ChangeClient(t.Context(), c, noon)
		fails(t, err, clients.ErrNotFound)
	})
}

func TestAPITokenIsFoundByItsHashUntilItEnds(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := started(t, open)
		token, secret, err := apitoken.New("ci", "", []string{apitoken.Create, apitoken.Read}, time.Hour, noon)
		must(t, err)
		must(t, s.AddAPIToken(t.Context(), token))
		got, err := s.UseAPIToken(t.Context(), secrets.Hash(secret), noon.Add(time.Second))
		must(t, err)
		token.LastUsed = noon.Add(time.Second)
		same(t, got, token)
		for _, c := range []struct{ at, used time.Duration }{
			{30 * time.Second, time.Second}, {2 * time.Minute, 2 * time.Minute},
		} {
			t.Run(fmt.Sprint(c.at), func(t *testing.T) {
				if got, err = s.UseAPIToken(t.Context(), token.Hash, noon.Add(c.at)); err != nil ||
					got.LastUsed.Before(noon.Add(c.used)) {
					t.Errorf("after %v: %v, %v", c.at, got.LastUsed, err)
				}
			})
		}
		_, err = s.UseAPIToken(t.Context(), secrets.Hash(secret+"x"), noon)
		fails(t, err, apitoken.ErrNotFound)
		must(t, s.RevokeAPIToken(t.Context(), token.ID, noon.Add(5*time.Minute)))
		must(t, s.RevokeAPIToken(t.Context(), token.ID, noon.Add(time.Hour)))
		got, err = s.UseAPIToken(t.Context(), token.Hash, noon.Add(6*time.Minute))
		if err != nil || got.Good(noon.Add(6*time.Minute)) || !got.Revoked.Equal(noon.Add(5*time.Minute)) {
			t.Errorf("%+v, %v", got, err)
		}
		fails(t, s.RevokeAPIToken(t.Context(), "none", noon), apitoken.ErrNotFound)
	})
}

func TestAPITokensAreListedAndDeletedLongAfterTheirEnd(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := started(t, open)
		for _, lifetime := range []time.Duration{0, time.Hour, 2 * time.Hour} {
			token, _, err := apitoken.New("t", project.Default, []string{apitoken.Admin}, lifetime, noon)
			must(t, err)
			must(t, s.AddAPIToken(t.Context(), token))
		}
		lost, _, err := apitoken.New("t", "nowhere", []string{apitoken.Admin}, 0, noon)
		must(t, err)
		fails(t, s.AddAPIToken(t.Context(), lost), project.ErrNoProject)
		for i, want := range []int{1, 1, 0} {
			if n, err := s.DeleteAPITokens(t.Context(), noon.Add(24*time.Hour), 1); err != nil || n != want {
				t.Errorf("batch %d: %d, %v", i, n, err)
			}
		}
		found, err := s.ListAPITokens(t.Context(), project.Default, project.Page{Limit: 5})
		if err != nil || len(found) != 1 || !found[0].Expires.IsZero() {
			t.Errorf("%+v, %v", found, err)
		}
	})
}

func TestAuditTrailIsFilteredPagedAndForgotten(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		for i := range 6 {
			must(t, s.AddEntry(t.Context(), audit.Entry{
				At:      noon.Add(time.Duration(i) * time.Minute),
				Actor:   fmt.Sprint("actor ", i%2),
				Action:  "user.create",
				Target:  fmt.Sprint(i),
				Project: []string{"acme", "default", ""}[i%3], ClientIP: "192.0.2.1", Result: "success", Detail: "d",
			}))
		}
		targets := func(f audit.Filter) (text string) {
			t.Helper()
			f.Limit = 2
			for {
				found, err := s.ListEntries(t.Context(), f)
				must(t, err)
				if len(found) == 0 {
					return text
				}
				for _, e := range found {
					text += e.Target
				}
				f.Before = found[len(found)-1].ID
			}
		}
		for _, c := range []struct {
			want string
			f    audit.Filter
		}{
			{"543210", audit.Filter{}}, {"531", audit.Filter{Actor: "actor 1"}},
			{"30", audit.Filter{Project: "acme"}}, {"", audit.Filter{Action: "login"}},
			{"4", audit.Filter{Target: "4"}},
			{
				"32",
				audit.Filter{
					Since:  noon.Add(2 * time.Minute),
					Until:  noon.Add(4 * time.Minute),
					Result: "success",
				},
			},
		} {
			t.Run(c.want, func(t *testing.T) {
				if got := targets(c.f); got != c.want {
					t.Errorf("%+v: %s, want %s", c.f, got, c.want)
				}
			})
		}
		for i, want := range []int{2, 1, 0} {
			if n, err := s.DeleteEntries(t.Context(), noon.Add(3*time.Minute), 2); err != nil || n != want {
				t.Errorf("batch %d: %d, %v; want %d", i, n, err, want)
			}
		}
		same(t, targets(audit.Filter{}), "543")
	})
}

func TestNodesThatStartTogetherMakeOneDefaultProject(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open()}
		d := Declaration{
			Projects: []project.Project{{Slug: "acme", Lifetimes: project.Lifetimes{Access: time.Hour}}},
			Clients:  []clients.Client{{ID: "reports", Project: "acme"}},
			Users:    []identity.User{{Name: "Alice"}},
		}
		atOnce(10, func(i int) {
			if ended, err := nodes[i%2].Reconcile(t.Context(), d, noon); err != nil || len(ended) != 0 {
				t.Errorf("%v, %v", ended, err)
			}
		})
		entries, err := nodes[0].ListEntries(t.Context(), audit.Filter{Limit: 100})
		if err != nil || len(entries) != 4 {
			t.Errorf("%d changes for four things, %v", len(entries), err)
		}
		u, err := nodes[1].FindUser(t.Context(), "default", "ALICE")
		if err != nil || !u.Declared || u.Version != 1 {
			t.Errorf("%+v, %v", u, err)
		}
	})
}

func TestLifetimesSetThroughTheAPISurviveANewDeclaration(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		declare := func(access time.Duration) {
			reconcile(t, s, Declaration{
				Projects: []project.Project{{Slug: "acme", Lifetimes: project.Lifetimes{Access: access}}},
				Clients: []clients.Client{
					{ID: "reports", Project: "acme", Lifetimes: project.Lifetimes{Access: access}},
				},
			})
		}
		declare(time.Hour)
		p, err := s.FindProject(t.Context(), "acme")
		must(t, err)
		p.Override.Access = 2 * time.Minute
		_, err = s.ChangeProject(t.Context(), p, noon)
		must(t, err)
		c, err := s.FindClient(t.Context(), "reports")
		must(t, err)
		c.Override.Access = time.Minute
		_, err = s.ChangeClient(t.Context(), c, noon)
		must(t, err)
		declare(2 * time.Hour)
		p, err = s.FindProject(t.Context(), "acme")
		must(t, err)
		c, err = s.FindClient(t.Context(), "reports")
		must(t, err)
		if p.Own().Access != 2*time.Minute || p.Lifetimes.Access != 2*time.Hour || p.Version != 3 ||
			c.Own().Access != time.Minute || c.Lifetimes.Access != 2*time.Hour {
			t.Errorf("%+v\n%+v", p, c)
		}
	})
}

func TestWhatIsDeclaredNoMoreCanDoNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		reconcile(t, s, Declaration{
			Projects: []project.Project{
				{Slug: "acme", Lifetimes: project.Lifetimes{Access: time.Hour}},
				{Slug: "default", Lifetimes: project.Lifetimes{Access: time.Hour}},
			},
			Clients: []clients.Client{{ID: "reports"}},
			Users:   []identity.User{{Name: "Alice", PasswordHash: "h"}},
		})
		ended := reconcile(t, s, Declaration{})
		same(t, ended, []Ended{
			{Kind: "project", Project: "acme", Reason: Undeclared},
			{Kind: "client", Project: "default", ID: "reports", Reason: Undeclared},
			{Kind: "user", Project: "default", ID: "Alice", Reason: Undeclared},
		})
		p, err := s.FindProject(t.Context(), "acme")
		must(t, err)
		c, err := s.FindClient(t.Context(), "reports")
		must(t, err)
		u, err := s.FindUser(t.Context(), "default", "alice")
		must(t, err)
		denials, _, err := s.Denials(t.Context(), 0)
		must(t, err)
		for i, kind := range []revocation.Kind{revocation.ProjectKind, revocation.ClientKind, revocation.UserKind} {
			if len(denials) != 3 || denials[i].Kind != kind || denials[i].Epoch < 2 ||
				denials[i].Until.Before(noon.AddDate(1, 0, 0)) {
				t.Fatalf("the order against a %s is not among %+v", kind, denials)
			}
		}
		if p.Active || p.Declared || c.Active || c.Declared || !u.Disabled || u.Declared || p.Lifetimes.Access != 0 {
			t.Errorf("%+v\n%+v\n%+v", p, c, u)
		}
		d, err := s.FindProject(t.Context(), "default")
		if err != nil || !d.Active || d.Declared || d.Lifetimes.Access != 0 {
			t.Errorf("%+v, %v", d, err)
		}
		if ended := reconcile(t, s, Declaration{}); len(ended) != 0 {
			t.Errorf("ended once more: %v", ended)
		}
	})
}

func TestDeclarationTakesOverWhatTheAPIMade(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, p := started(t, open), acme()
		p.Active = false
		must(t, s.AddProject(t.Context(), p))
		must(t,
			s.AddUser(t.Context(),
				identity.User{ID: "u", Project: "acme", Name: "alice", PasswordHash: "old", Created: noon}))
		reconcile(t, s, Declaration{
			Projects: []project.Project{{Slug: "acme", Name: "Acme"}},
			Users: []identity.User{
				{Project: "acme", Name: "alice", PasswordHash: "new", Claims: map[string]any{"role": "admin"}},
			},
		})
		got, err := s.FindProject(t.Context(), p.ID)
		if err != nil || !got.Declared || !got.Active || got.Override != p.Override || got.Name != "Acme" {
			t.Errorf("%+v, %v", got, err)
		}
		fails(t, s.RemoveProject(t.Context(), p.ID, 0), project.ErrDeclared)
		fails(t, s.RemoveUser(t.Context(), "u", 0), identity.ErrUserDeclared)
	})
}

// An API token of a project that the configuration takes over ends in the same step; others go on.
func TestTakingAProjectOverEndsItsAPITokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := started(t, open)
		must(t, s.AddProject(t.Context(), acme()))
		other := acme()
		other.ID, other.Slug = project.NewID(), "other"
		must(t, s.AddProject(t.Context(), other))
		for _, slug := range []string{"acme", "other", "default", ""} {
			must(t,
				s.AddAPIToken(t.Context(),
					apitoken.Token{ID: "t-" + slug, Hash: "h-" + slug, Name: "CI", Project: slug, Created: noon}))
		}
		check := func(when string, id string, good bool) {
			t.Helper()
			a, err := s.FindAPIToken(t.Context(), id)
			must(t, err)
			if a.Good(noon.Add(time.Minute)) != good {
				t.Errorf("%s: %s is good: %v", when, id, !good)
			}
		}
		d := Declaration{Projects: []project.Project{{Slug: "acme"}, {Slug: "default", Name: "Ours"}}}
		reconcile(t, s, d)
		check("taken over", "t-acme", false)
		for _, id := range []string{"t-other", "t-default", "t-"} {
			check("taken over", id, true)
		}
		entries, err := s.ListEntries(t.Context(), audit.Filter{Action: "api_token.revoke", Limit: 10})
		if err != nil || len(entries) != 1 || entries[0].Project != "acme" || entries[0].Detail != "taken_over: 1" {
			t.Errorf("%+v %v", entries, err)
		}
		must(t,
			s.AddAPIToken(t.Context(),
				apitoken.Token{ID: "new", Hash: "h-new", Name: "CI", Project: "acme", Created: noon}))
		d.Projects[0].Name = "Acme"
		reconcile(t, s, d)
		check("changed", "new", true)
		reconcile(t, s, Declaration{})
		d.Projects[0].Name = "Acme again"
		reconcile(t, s, d)
		check("declared again", "new", false)
	})
}

// What was issued before a declaration takes something over, or makes somebody an administrator, is
// over, whatever the project keeps after a new password.
func TestDeclarationEndsWhatWasIssuedBeforeItTookOver(t *testing.T) {
	kept := []project.Project{{Slug: "acme", RevocationOptions: keeps}}
	user := func(name string, admin bool) []identity.User {
		return []identity.User{{Project: "acme", Name: name, PasswordHash: "h", Admin: admin}}
	}
	declared := func(u []identity.User, c ...clients.Client) Declaration {
		return Declaration{Projects: kept, Users: u, Clients: c}
	}
	addUser := func(t *testing.T, s *Store) {
		must(t,
			s.AddUser(t.Context(),
				identity.User{ID: "u", Project: "acme", Name: "alice", PasswordHash: "h", Created: noon}))
	}
	for _, c := range []struct {
		name   string
		before *Declaration
		made   func(t *testing.T, s *Store) // by the API, meanwhile
		after  Declaration
		ended  []Ended
	}{
		{
			"a stored user with the same password", new(declared(nil)), addUser, declared(user("alice", false)),
			[]Ended{{"user", "acme", "alice", TakenOver}},
		},
		{"a stored user in another spelling", new(declared(nil)), addUser, declared(user("ＡLICE", true)),
			[]Ended{{"user", "acme", "alice", Undeclared}, {"user", "acme", "ＡLICE", TakenOver}}},
		{"a user who was declared once", new(declared(user("alice", true))), func(t *testing.T, s *Store) {
			reconcile(t, s, declared(nil))
			u, err := s.FindUser(t.Context(), "acme", "alice")
			must(t, err)
			if u.Admin {
				t.Error("declared no more, but an administrator")
			}
			u.Disabled = false
			_, err = s.ChangeUser(t.Context(), *u, noon)
			must(t, err)
		}, declared(user("alice", true)), []Ended{{"user", "acme", "alice", TakenOver}}},
		{
			"a new administrator", new(declared(nil)), nil, declared(user("alice", true)),
			[]Ended{{"user", "acme", "alice", AdminGranted}},
		},
		{
			"a declared user who becomes one", new(declared(user("alice", false))), nil, declared(user("alice", true)),
			[]Ended{{"user", "acme", "alice", AdminGranted}},
		},
		{
			"an administrator who gets another spelling", new(declared(user("alice", true))), nil,
			declared(user("Alice", true)),
			[]Ended{{"user", "acme", "alice", Undeclared}, {"user", "acme", "Alice", AdminGranted}},
		},
		{"an administrator who stays one", new(declared(user("alice", true))), nil, declared(user("alice", true)), nil},
		{
			"a stored client", new(declared(nil)),
			func(t *testing.T, s *Store) { must(t, s.AddClient(t.Context(), reports("acme"))) },
			declared(nil, clients.Client{ID: "reports", Project: "acme"}),
			[]Ended{{"client", "acme", "reports", TakenOver}},
		},
		{
			"a stored project", nil, func(t *testing.T, s *Store) { must(t, s.AddProject(t.Context(), acme())) },
			declared(nil), []Ended{{"project", "acme", "", TakenOver}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				s := started(t, open)
				if c.before != nil {
					reconcile(t, s, *c.before)
				}
				if c.made != nil {
					c.made(t, s)
				}
				held := ownedBy("held", "acme", "alice", "reports")
				var err error
				held.Epoch, err = s.Epoch(t.Context())
				must(t, err)
				mustAddGrants(t, s, held)
				same(t, reconcile(t, s, c.after), c.ended)
				g, err := s.FindGrant(t.Context(), held.ID)
				must(t, err)
				if g.Revoked.IsZero() != (c.ended == nil) {
					t.Errorf("the grant: %+v", g)
				}
				client, err := s.FindClient(t.Context(), "reports")
				if err == nil && len(client.Secrets) > 0 {
					t.Error("the secret that the API set is good yet")
				}
				if again := reconcile(t, s, c.after); again != nil {
					t.Errorf("ended once more: %v", again)
				}
			})
		})
	}
}

func TestChangedDeclarationsEndSessions(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		projects := []project.Project{{Slug: "kept", RevocationOptions: keeps}}
		user := func(slug, name, hash string, disabled bool) identity.User {
			return identity.User{Project: slug, Name: name, PasswordHash: hash, Disabled: disabled}
		}
		reconcile(t, s,
			Declaration{
				Projects: projects,
				Clients:  []clients.Client{{ID: "c", Secrets: oneSecret("1")}, {ID: "moves"}},
				Users: []identity.User{
					user("", "alice", "1", false), user("kept", "alice", "1", false), user("", "bob", "1", false),
					user("", "carol", "1", false), user("", "dave", "1", false),
				},
			})
		ended := reconcile(t, s,
			Declaration{
				Projects: projects,
				Clients:  []clients.Client{{ID: "c", Secrets: oneSecret("2")}, {ID: "moves", Project: "kept"}},
				Users: []identity.User{
					user("", "alice", "2", false), user("kept", "alice", "2", false), user("", "bob", "1", true),
					user("", "Carol", "1", false), user("", "dave", "1", false),
				},
			})
		same(t, ended, []Ended{
			{"client", "default", "moves", Undeclared}, {"user", "default", "alice", PasswordChanged},
			{"user", "default", "bob", Disabled}, {"user", "default", "carol", Undeclared},
		})
	})
}

// TestPasswordChangeFollowsProjectOverServer: the project's revoke_refresh_on_password_change
// counts, then the server's, then the default, which ends the sign-ins.
func TestPasswordChangeFollowsProjectOverServer(t *testing.T) {
	revokes := project.RevocationOptions{RevokeRefreshOnPasswordChange: project.On}
	for _, c := range []struct {
		name            string
		server, project project.RevocationOptions
		ends            bool
	}{
		{name: "nobody says anything", ends: true},
		{name: "server off", server: keeps},
		{name: "server off, project on", server: keeps, project: revokes, ends: true},
		{name: "server on, project off", server: revokes, project: keeps},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t, filepath.Join(t.TempDir(), "auth.db"))
			must(t, s.Open(t.Context()))
			d := Declaration{
				Revocation: c.server,
				Projects:   []project.Project{{Slug: "acme", RevocationOptions: c.project}},
				Users:      []identity.User{{Project: "acme", Name: "alice", PasswordHash: "1"}},
			}
			reconcile(t, s, d)
			d.Users = []identity.User{{Project: "acme", Name: "alice", PasswordHash: "2"}}
			if ended := reconcile(t, s, d); (len(ended) == 1) != c.ends {
				t.Errorf("ended %v, want that: %v", ended, c.ends)
			}
		})
	}
}

// TestOptionsAreKept: each value of each option comes back as it was stored, and what says nothing
// goes on saying nothing.
func TestOptionsAreKept(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		for i, o := range []project.TokenOptions{
			{},
			{AccessTokenFormat: project.JWT, RefreshRotation: project.On, RefreshReuseInterval: project.None},
			{AccessTokenFormat: project.Opaque, RefreshRotation: project.Off, RefreshReuseInterval: time.Minute},
		} {
			p := project.Project{ID: project.NewID(), Slug: fmt.Sprint("p", i), TokenOptions: o, Created: noon}
			p.RevocationOptions = project.RevocationOptions{
				RevokeRefreshOnPasswordChange: o.RefreshRotation,
				RevokeAllOnLogout:             o.RefreshRotation,
			}
			must(t, s.AddProject(t.Context(), p))
			must(t,
				s.AddClient(t.Context(), clients.Client{ID: p.Slug, Project: p.Slug, TokenOptions: o, Created: noon}))
			gotProject, err := s.FindProject(t.Context(), p.Slug)
			must(t, err)
			gotClient, err := s.FindClient(t.Context(), p.Slug)
			must(t, err)
			same(t, gotProject.TokenOptions, o)
			same(t, gotClient.TokenOptions, o)
			same(t, gotProject.RevocationOptions, p.RevocationOptions)
		}
	})
}

func TestRefusedDeclarationChangesNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		_, err := s.Reconcile(t.Context(), Declaration{
			Projects: []project.Project{{Slug: "acme"}}, Users: []identity.User{{Name: "alice", Project: "nowhere"}},
		}, noon)
		fails(t, err, identity.ErrNoSuchProject)
		if !strings.Contains(err.Error(), `user "alice"`) {
			t.Error(err)
		}
		_, err = s.FindProject(t.Context(), "acme")
		fails(t, err, project.ErrNoProject)
		_, err = s.FindProject(t.Context(), "default")
		fails(t, err, project.ErrNoProject)
	})
}

// TestAnyAsserting: an active client with identity assertions, and none that merely names them.
func TestAnyAsserting(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		reconcile(t, s, Declaration{})
		any := func(when string, want bool) {
			t.Helper()
			if got, err := s.AnyAsserting(t.Context()); err != nil || got != want {
				t.Errorf("%s: %v, %v", when, got, err)
			}
		}
		any("no client", false)
		c := reports(project.Default)
		c.Settings = clients.Settings{URI: `https://x.example/?"identity_assertions":[{"issuer"`}
		must(t, s.AddClient(t.Context(), c))
		any("a client without", false)
		c.Settings = clients.Settings{IdentityAssertions: []clients.AssertionAudience{{Issuer: "https://as.example"}}}
		c, err := s.ChangeClient(t.Context(), c, noon)
		must(t, err)
		any("a client with", true)
		c.Active = false
		_, err = s.ChangeClient(t.Context(), c, noon)
		must(t, err)
		any("paused", false)
	})
}
