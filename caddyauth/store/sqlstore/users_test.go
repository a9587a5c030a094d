package sqlstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

func alice() identity.User {
	return identity.User{
		ID: project.NewID(), Project: "default", Name: "Alice", PasswordHash: "hash", PasswordChanged: noon,
		Claims: map[string]any{
			"role": "admin",
			"n":    json.Number("12345678901234567890"),
			"list": []any{"a", nil, true},
		},
		Version: 1, Created: noon, Changed: noon,
	}
}

func TestUserComesBackWholeInAnySpelling(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, u := started(t, open), alice()
		must(t, s.AddUser(t.Context(), u))
		for _, name := range []string{"Alice", "alice", "ＡＬＩＣＥ"} {
			got, err := s.FindUser(t.Context(), "default", name)
			must(t, err)
			same(t, *got, u)
		}
		got, err := s.FindUserByID(t.Context(), u.ID)
		must(t, err)
		same(t, *got, u)
		for _, c := range []struct{ project, name string }{
			{"default", "bob"}, {"acme", "alice"}, {"default", "a b"}, {"default", ""},
		} {
			if got, err := s.FindUser(t.Context(), c.project, c.name); !errors.Is(err, identity.ErrNoUser) ||
				got != nil {
				t.Errorf("%+v: %v, %v", c, got, err)
			}
		}
	})
}

func TestTwoUsersOfAProjectDoNotShareAName(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := started(t, open)
		must(t, s.AddProject(t.Context(), acme()))
		var added atomic.Int32
		atOnce(20, func(i int) {
			u := alice()
			u.Name = []string{"alice", "ALICE"}[i%2]
			switch err := s.AddUser(t.Context(), u); {
			case err == nil:
				added.Add(1)
			case !errors.Is(err, identity.ErrNameTaken):
				t.Error(err)
			}
		})
		if added.Load() != 1 {
			t.Errorf("%d were added", added.Load())
		}
		elsewhere := alice()
		elsewhere.Project = "acme"
		must(t, s.AddUser(t.Context(), elsewhere))
		elsewhere.Project = "nowhere"
		fails(t, s.AddUser(t.Context(), elsewhere), identity.ErrNoSuchProject)
		elsewhere.Name = "a b"
		fails(t, s.AddUser(t.Context(), elsewhere), identity.ErrBadName)
	})
}

func TestUserIsChangedInAVersion(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, u := started(t, open), alice()
		must(t, s.AddUser(t.Context(), u))
		later := noon.Add(time.Hour)
		change := u
		change.Disabled, change.Claims, change.Name, change.PasswordHash = true, nil, "Mallory", "other"
		after, err := s.ChangeUser(t.Context(), change, later)
		must(t, err)
		want := u
		want.Disabled, want.Claims, want.Version, want.Changed = true, nil, 2, later
		same(t, *after, want)
		_, err = s.ChangeUser(t.Context(), change, later)
		fails(t, err, identity.ErrUserChanged)

		after, err = s.SetPassword(t.Context(), u.ID, 2, "new", later)
		must(t, err)
		if after.PasswordHash != "new" || !after.PasswordChanged.Equal(later) || after.Version != 3 {
			t.Errorf("%+v", after)
		}
		_, err = s.SetPassword(t.Context(), u.ID, 2, "late", later)
		fails(t, err, identity.ErrUserChanged)
		if _, err = s.SetPassword(t.Context(), u.ID, 0, "", later); err != nil {
			t.Error(err)
		}
		_, err = s.SetPassword(t.Context(), "none", 0, "x", later)
		fails(t, err, identity.ErrNoUser)
		fails(t, s.RemoveUser(t.Context(), u.ID, 3), identity.ErrUserChanged)
		must(t, s.RemoveUser(t.Context(), u.ID, 4))
		fails(t, s.RemoveUser(t.Context(), u.ID, 0), identity.ErrNoUser)
	})
}

func TestPasswordsSetAtOnceAllCountAsChanges(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{started(t, open), open()}
		u := alice()
		must(t, nodes[0].AddUser(t.Context(), u))
		atOnce(20, func(i int) {
			if _, err := nodes[i%2].SetPassword(t.Context(), u.ID, 0, "new", noon); err != nil {
				t.Error(err)
			}
		})
		got, err := nodes[0].FindUserByID(t.Context(), u.ID)
		if err != nil || got.Version != 21 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestUsersAreListedInPagesByProjectAndName(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := started(t, open)
		must(t, s.AddProject(t.Context(), acme()))
		for _, name := range []string{"dave", "Bob", "alice", "carol"} {
			for _, slug := range []string{"default", "acme"} {
				must(t,
					s.AddUser(t.Context(),
						identity.User{ID: project.NewID(), Project: slug, Name: name, Created: noon}))
			}
		}
		list := func(page identity.UserPage) (names []string) {
			t.Helper()
			page.Limit = 3
			for {
				found, err := s.ListUsers(t.Context(), page)
				must(t, err)
				if len(found) == 0 {
					return names
				}
				for _, u := range found {
					names = append(names, u.Project+"/"+u.Name)
				}
				last := found[len(found)-1]
				page.AfterProject = last.Project
				page.AfterName, err = identity.CanonicalName(last.Name)
				must(t, err)
			}
		}
		own := []string{"acme/alice", "acme/Bob", "acme/carol", "acme/dave"}
		same(t, list(identity.UserPage{Project: "acme"}), own)
		same(t, list(identity.UserPage{}), append(own, "default/alice", "default/Bob", "default/carol", "default/dave"))
	})
}

// hashes are usable ones of three kinds, of which two differ in salt and hash alone.
var hashes = []string{
	"$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG",
	"$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvO",
	"$argon2id$v=19$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg",
	"$argon2id$v=19$m=65536,t=3,p=4$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg",
}

func TestKindsOfHashesAreKnown(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := started(t, open)
		kinds := func(want ...string) {
			t.Helper()
			got, err := s.HashKinds(t.Context())
			must(t, err)
			same(t, got, want)
		}
		kinds()
		for i, hash := range append(hashes, "", "junk") {
			must(t,
				s.AddUser(t.Context(),
					identity.User{
						ID:           fmt.Sprint(i),
						Project:      "default",
						Name:         fmt.Sprint("u", i),
						PasswordHash: hash,
						Created:      noon,
					}))
		}
		bcrypt, small, large := "$2a$14$", "$argon2id$v=19$m=47104,t=1,p=1$", "$argon2id$v=19$m=65536,t=3,p=4$"
		kinds(bcrypt, small, large)
		must(t, s.RenewHash(t.Context(), "3", hashes[3], hashes[2]))
		kinds(bcrypt, small)
		_, err := s.SetPassword(t.Context(), "0", 0, "", noon)
		must(t, err)
		kinds(bcrypt, small)
		must(t, s.RemoveUser(t.Context(), "1", 0))
		kinds(small)
		reconcile(t, s, Declaration{Users: []identity.User{{Name: "declared", PasswordHash: hashes[0]}}})
		kinds(bcrypt, small)
	})
}

func TestOnlyTheHashThatWasCheckedIsRenewed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := started(t, open)
		u := identity.User{
			ID:              "u",
			Project:         "default",
			Name:            "alice",
			PasswordHash:    hashes[0],
			PasswordChanged: noon,
			Version:         1,
			Created:         noon,
			Changed:         noon,
		}
		must(t, s.AddUser(t.Context(), u))
		stands := func(want identity.User) {
			t.Helper()
			got, err := s.FindUserByID(t.Context(), "u")
			must(t, err)
			same(t, *got, want)
		}
		must(t, s.RenewHash(t.Context(), "u", hashes[1], hashes[2])) // of a password that was changed meanwhile
		stands(u)
		must(t, s.RenewHash(t.Context(), "u", hashes[0], hashes[2]))
		u.PasswordHash = hashes[2]
		stands(u)
		reconcile(t, s, Declaration{Users: []identity.User{{Name: "alice", PasswordHash: hashes[0]}}})
		must(t, s.RenewHash(t.Context(), "u", hashes[0], hashes[2])) // of a user who was declared meanwhile
		if got, err := s.FindUserByID(t.Context(), "u"); err != nil || got.PasswordHash != hashes[0] {
			t.Errorf("the hash of a declared user was replaced: %v, %v", got, err)
		}
	})
}

// Changed claims deny the access tokens from before and keep the sessions, but for one that an
// earlier order has ended and missed.
func TestChangedClaimsDenyTokensAndKeepSessions(t *testing.T) {
	claims := func(role string) map[string]any {
		return map[string]any{"role": role, "n": json.Number("12345678901234567")}
	}
	for _, c := range []struct {
		name   string
		kind   revocation.Kind
		id     string
		change func(t *testing.T, s *Store, role string)
	}{
		{"user", revocation.UserKind, "Alice", func(t *testing.T, s *Store, role string) {
			u, err := s.FindUser(t.Context(), "default", "alice")
			must(t, err)
			u.Claims = claims(role)
			_, err = s.ChangeUser(t.Context(), *u, noon)
			must(t, err)
		}},
		{"client", revocation.ClientKind, "reports", func(t *testing.T, s *Store, role string) {
			client, err := s.FindClient(t.Context(), "reports")
			must(t, err)
			client.Claims = claims(role)
			_, err = s.ChangeClient(t.Context(), client, noon)
			must(t, err)
		}},
		{"declared user", revocation.UserKind, "dora", func(t *testing.T, s *Store, role string) {
			reconcile(t, s,
				Declaration{
					Users:   []identity.User{{Name: "dora", Claims: claims(role)}},
					Clients: []clients.Client{{ID: "kept"}},
				})
		}},
		{"declared client", revocation.ClientKind, "kept", func(t *testing.T, s *Store, role string) {
			reconcile(t, s,
				Declaration{
					Users:   []identity.User{{Name: "dora"}},
					Clients: []clients.Client{{ID: "kept", Claims: claims(role)}},
				})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				s := started(t, open)
				reconcile(t, s,
					Declaration{Users: []identity.User{{Name: "dora"}}, Clients: []clients.Client{{ID: "kept"}}})
				must(t, s.AddUser(t.Context(), alice()))
				must(t, s.AddClient(t.Context(), reports("default")))
				owned := func(id string, epoch int64) session.Grant {
					g := ownedBy(id, "default", "somebody", "web")
					if g.Epoch = epoch; c.kind == revocation.UserKind {
						g.Subject = c.id
					} else {
						g.ClientID = c.id
					}
					return g
				}
				_, order, err := s.RevokeAll(t.Context(),
					revocation.Revocation{Kind: c.kind, Project: "default", ID: c.id}, noon)
				must(t, err)
				// it was being added while the order was carried out
				row, err := writeGrant(owned("escaped", order.Epoch-1))
				must(t, err)
				must(t, s.write(t.Context(), func(t tx) error { _, err := t.exec(insertGrant, row...); return err }))
				mustAddGrants(t, s, owned("held", order.Epoch))
				denied := func() int64 {
					denials, _, err := s.Denials(t.Context(), 0)
					must(t, err)
					for _, d := range denials {
						if d.Kind == c.kind && d.ID == c.id {
							return d.Epoch
						}
					}
					t.Fatalf("no denial among %+v", denials)
					return 0
				}
				c.change(t, s, "editor")
				first := denied()
				if first <= order.Epoch {
					t.Errorf("tokens from before are good yet: epoch %d", first)
				}
				c.change(t, s, "editor")
				if again := denied(); again != first {
					t.Error("what changed nothing denies tokens")
				}
				use := func(id string, want session.Verdict) {
					t.Helper()
					g := owned(id, 0)
					r := session.Rotation{ID: id, Generation: g.Generation, ClientID: g.ClientID, AccessUntil: noon}
					done, err := s.RotateGrant(t.Context(), r, noon.Add(time.Second))
					if err != nil || done.Verdict != want || want.Honoured() && done.Epoch < first {
						t.Errorf("using %s: %s with epoch %d, %v; want %s", id, done.Verdict, done.Epoch, err, want)
					}
				}
				use("held", session.Advanced)
				use("escaped", session.Ended)
				fails(t, s.AddGrant(t.Context(), owned("late", first-1)), session.ErrOvertaken)
			})
		})
	}
}
