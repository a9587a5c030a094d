package sqlstore

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// take counts an attempt in buckets.
func take(ctx context.Context, s *Store, buckets []identity.Bucket, now time.Time) (time.Duration, error) {
	return s.TakeAttempt(ctx, identity.Attempt{Buckets: buckets}, now)
}

// forgiveIn stores a Forgiveness by itself.
func forgiveIn(ctx context.Context, s *Store, f identity.Forgiveness) error {
	return s.writeOne(ctx, func(t tx) error {
		_, err := t.all(forgive(f)...)
		return err
	})
}

// known reports whether a pair is remembered.
func known(ctx context.Context, s *Store, key string, now time.Time) (bool, error) {
	db, err := s.database()
	if err != nil {
		return false, err
	}
	var until int64
	return one(ctx, db, knownPair, []any{key, now.UnixMilli()}, &until)
}

// tenants is a store with the project acme, its client reports, and alice.
type tenants struct {
	*Store
	project project.Project
	client  clients.Client
	user    identity.User
}

func newTenants(t testing.TB, s *Store) *tenants {
	t.Helper()
	x := &tenants{
		Store:   s,
		project: project.Project{ID: "p-id", Slug: "acme", Active: true, Created: noon},
		client: clients.Client{
			ID:       "reports",
			Project:  "acme",
			Active:   true,
			Created:  noon,
			Claims:   map[string]any{"tier": "gold"},
			Audience: []string{"web"},
			Scopes:   []string{"read"},
		},
		user: identity.User{
			ID:           "u-id",
			Project:      "acme",
			Name:         "Alice",
			PasswordHash: "h",
			Created:      noon,
			Claims:       map[string]any{"role": "admin"},
		},
	}
	must(t, s.AddProject(t.Context(), x.project))
	must(t, s.AddClient(t.Context(), x.client))
	must(t, s.AddUser(t.Context(), x.user))
	return x
}

// record is a sign-in of alice, who was just read.
func (x *tenants) record(t *testing.T, id string) issuance.Record {
	t.Helper()
	p, err := x.FindParties(t.Context(), "acme", "reports", "alice")
	must(t, err)
	g := wholeGrant(id)
	g.Project, g.Subject, g.ClientID, g.Epoch = "acme", "Alice", "reports", p.Epoch
	return issuance.Record{
		Grant:       g,
		User:        p.User,
		Forgiveness: identity.Forgiveness{Empty: "pair", Known: "known", Until: noon.Add(time.Hour)},
		Entry: audit.Entry{
			At:         noon,
			Actor:      "user:Alice",
			Action:     "login",
			TargetName: "Alice",
			Project:    "acme",
			Result:     "success",
		},
	}
}

// TestPartiesAreReadAsTheirOwnVerbsReadThem, each of them missing in turn.
func TestPartiesAreReadAsTheirOwnVerbsReadThem(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		x := newTenants(t, open())
		wantProject, err := x.FindProject(t.Context(), "acme")
		must(t, err)
		wantClient, err := x.FindClient(t.Context(), "reports")
		must(t, err)
		wantUser, err := x.FindUser(t.Context(), "acme", "alice")
		must(t, err)
		epoch, err := x.Epoch(t.Context())
		must(t, err)
		firstParty := clients.Client{ID: clients.FirstParty, Active: true}
		for _, c := range []struct {
			name                     string
			project, client, account string
			want                     issuance.Parties
		}{
			{
				"all", "acme", "reports", "alice",
				issuance.Parties{Project: wantProject, Client: wantClient, User: wantUser},
			},
			{
				"project by id", "p-id", "reports", "alice",
				issuance.Parties{Project: wantProject, Client: wantClient, User: wantUser},
			},
			{
				"first party", "acme", clients.FirstParty, "alice",
				issuance.Parties{Project: wantProject, Client: firstParty, User: wantUser},
			},
			{"no project", "nowhere", "reports", "alice", issuance.Parties{Client: wantClient}},
			{"no client", "acme", "nobody", "alice", issuance.Parties{Project: wantProject, User: wantUser}},
			{"no user", "acme", "reports", "nobody", issuance.Parties{Project: wantProject, Client: wantClient}},
			{"no name", "acme", "reports", "", issuance.Parties{Project: wantProject, Client: wantClient}},
			{"nothing", "", "", "", issuance.Parties{}},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.want.Epoch = epoch
				got, err := x.FindParties(t.Context(), c.project, c.client, c.account)
				if err != nil || !reflect.DeepEqual(got, c.want) {
					t.Errorf("%+v, %v\nwant %+v", got, err, c.want)
				}
			})
		}
		for _, c := range []struct {
			name, client, account string
			want                  issuance.Parties
		}{
			{"a client", "reports", "", issuance.Parties{Project: wantProject, Client: wantClient}},
			{
				"a client and a user of its project", "reports", "alice",
				issuance.Parties{Project: wantProject, Client: wantClient, User: wantUser},
			},
			{"a client and a user that is not there", "reports", "reports", issuance.Parties{
				Project: wantProject, Client: wantClient,
			}},
			{"a client that is not there", "nobody", "alice", issuance.Parties{}},
			{"a client without a name", "", "", issuance.Parties{}},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.want.Epoch = epoch
				got, err := x.FindClientParties(t.Context(), c.client, c.account)
				if err != nil || !reflect.DeepEqual(got, c.want) {
					t.Errorf("%+v, %v\nwant %+v", got, err, c.want)
				}
			})
		}
	})
}

// TestASignInIsOneStep: the session, the counters and the line of the audit trail, or none of the
// session and the line.
func TestASignInIsOneStep(t *testing.T) {
	for _, grant := range []string{"session", ""} {
		t.Run("grant "+grant, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				x := newTenants(t, open())
				for range 5 {
					_, err := take(t.Context(), x.Store, bucketOf5("pair"), noon)
					must(t, err)
				}
				must(t, x.AddSignIn(t.Context(), x.record(t, grant)))
				_, err := x.FindGrant(t.Context(), "session")
				if stored := err == nil; stored != (grant != "") {
					t.Errorf("the grant: %v", err)
				}
				if wait, err := take(t.Context(), x.Store, bucketOf5("pair"), noon); wait != 0 || err != nil {
					t.Errorf("the pair's bucket waits %v, %v", wait, err)
				}
				if found, err := known(t.Context(), x.Store, "known", noon); !found || err != nil {
					t.Errorf("the pair is not known: %v", err)
				}
				if lines := x.trail(t); len(lines) != 1 || lines[0].Action != "login" ||
					lines[0].TargetName != "Alice" {
					t.Errorf("the audit trail has %+v", lines)
				}
			})
		})
	}
}

func (x *tenants) trail(t *testing.T) []audit.Entry {
	t.Helper()
	lines, err := x.ListEntries(t.Context(), audit.Filter{Limit: 10})
	must(t, err)
	return lines
}

// TestASignInHoldsOnlyWhileAllStillStand: whatever changes between the reading of the parties and
// the last step refuses it, whether or not a revocation says so, too.
func TestASignInHoldsOnlyWhileAllStillStand(t *testing.T) {
	order := func(o revocation.Revocation) func(*testing.T, *tenants) {
		return func(t *testing.T, x *tenants) {
			_, _, err := x.RevokeAll(t.Context(), o, noon)
			must(t, err)
		}
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, x *tenants)
	}{
		{"the user is disabled", func(t *testing.T, x *tenants) {
			x.user.Disabled = true
			_, err := x.ChangeUser(t.Context(), x.user, noon)
			must(t, err)
		}},
		{"the password changes", func(t *testing.T, x *tenants) {
			_, err := x.SetPassword(t.Context(), "u-id", 0, "another", noon)
			must(t, err)
		}},
		{"the claims change", func(t *testing.T, x *tenants) {
			x.user.Claims = nil
			_, err := x.ChangeUser(t.Context(), x.user, noon)
			must(t, err)
		}},
		{"the user is deleted", func(t *testing.T, x *tenants) { must(t, x.RemoveUser(t.Context(), "u-id", 0)) }},
		{"the user is deleted and made anew", func(t *testing.T, x *tenants) {
			must(t, x.RemoveUser(t.Context(), "u-id", 0))
			x.user.ID = "another"
			must(t, x.AddUser(t.Context(), x.user))
		}},
		{"the project is paused", func(t *testing.T, x *tenants) {
			p, err := x.FindProject(t.Context(), "acme")
			must(t, err)
			p.Active = false
			_, err = x.ChangeProject(t.Context(), p, noon)
			must(t, err)
		}},
		{"the project is deleted", func(t *testing.T, x *tenants) { must(t, x.RemoveProject(t.Context(), "p-id", 0)) }},
		{"the client is paused", func(t *testing.T, x *tenants) {
			client, err := x.FindClient(t.Context(), "reports")
			must(t, err)
			client.Active = false
			_, err = x.ChangeClient(t.Context(), client, noon)
			must(t, err)
		}},
		{
			"the client is deleted",
			func(t *testing.T, x *tenants) { must(t, x.RemoveClient(t.Context(), "reports", 0)) },
		},
		{"the user is revoked", order(revocation.Revocation{Kind: revocation.UserKind, Project: "acme", ID: "Alice"})},
		{
			"the client is revoked",
			order(revocation.Revocation{Kind: revocation.ClientKind, Project: "acme", ID: "reports"}),
		},
		{"the project is revoked", order(revocation.Revocation{Kind: revocation.ProjectKind, Project: "acme"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				x := newTenants(t, open())
				with, without := x.record(t, "session"), x.record(t, "")
				c.change(t, x)
				for _, r := range []issuance.Record{with, without} {
					if err := x.AddSignIn(t.Context(), r); !errors.Is(err, session.ErrOvertaken) {
						t.Errorf("grant %q: %v, want ErrOvertaken", r.Grant.ID, err)
					}
				}
				if _, err := x.FindGrant(t.Context(), "session"); !errors.Is(err, session.ErrNoGrant) {
					t.Errorf("a session began: %v", err)
				}
				if lines := x.trail(t); len(lines) > 0 {
					t.Errorf("the audit trail has %+v", lines)
				}
			})
		})
	}
}
