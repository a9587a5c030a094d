package sqlstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/bench/cputime"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// knownGrant stores a grant of alice at reports, and returns it with whom it is for.
func (x *tenants) knownGrant(t testing.TB, change func(*session.Grant)) issuance.KnownUse {
	t.Helper()
	p, err := x.FindParties(t.Context(), "acme", "reports", "alice")
	must(t, err)
	g := wholeGrant("known")
	g.Project, g.Subject, g.ClientID, g.Epoch, g.Rotated = "acme", "Alice", "reports", p.Epoch, noon
	change(&g)
	must(t, x.AddGrant(t.Context(), g))
	g, err = x.FindGrant(t.Context(), g.ID)
	must(t, err)
	return issuance.KnownUse{Grant: g, AccessUntil: noon.Add(time.Hour), Parties: &p}
}

// wantGrant demands that a grant stands as it is.
func wantGrant(t *testing.T, s *Store, want session.Grant) {
	t.Helper()
	if got, err := s.FindGrant(t.Context(), want.ID); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// TestAKnownGrantIsUsedAsARotationUsesIt: the grant stands as Grant.Use leaves it.
func TestAKnownGrantIsUsedAsARotationUsesIt(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*session.Grant)
		want   session.Verdict
	}{
		{"rotated", func(*session.Grant) {}, session.Advanced},
		{"fixed", func(g *session.Grant) { g.Fixed, g.Repeats = true, 0 }, session.Kept},
		{"idle to the absolute end", func(g *session.Grant) { g.Idle = 4 * time.Hour }, session.Advanced},
		{
			"an access token that lives longer", func(g *session.Grant) { g.AccessUntil = noon.Add(90 * time.Minute) },
			session.Advanced,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				x := newTenants(t, open())
				use, now := x.knownGrant(t, c.change), noon.Add(time.Minute)
				want, verdict := use.Grant.Use(session.Rotation{
					ID:          use.Grant.ID,
					Generation:  use.Grant.Generation,
					ClientID:    "reports",
					AccessUntil: use.AccessUntil,
				}, now)
				if done, err := x.UseKnown(t.Context(), use, now); err != nil || !done || verdict != c.want {
					t.Fatalf("%v, %v; the rule says %s", done, err, verdict)
				}
				wantGrant(t, x.Store, want)
			})
		})
	}
}

// TestAKnownGrantIsUsedOnlyAsItWasRead: whatever has changed of it or of those it is for, or ends
// it, nothing is used.
func TestAKnownGrantIsUsedOnlyAsItWasRead(t *testing.T) {
	later := noon.Add(time.Second)
	revokeAll := func(kind revocation.Kind, id string) func(*testing.T, *tenants) {
		return func(t *testing.T, x *tenants) {
			_, _, err := x.RevokeAll(t.Context(), revocation.Revocation{Kind: kind, Project: "acme", ID: id}, later)
			must(t, err)
		}
	}
	for _, c := range []struct {
		name   string
		now    time.Time
		change func(t *testing.T, x *tenants)
	}{
		{"used before", later, func(t *testing.T, x *tenants) {
			done, err := x.RotateGrant(t.Context(),
				session.Rotation{ID: "known", Generation: 3, ClientID: "reports"}, noon)
			must(t, err)
			if done.Verdict != session.Advanced {
				t.Fatal(done.Verdict)
			}
		}},
		{"revoked", later, func(t *testing.T, x *tenants) {
			_, err := x.RevokeGrant(t.Context(), "known", "test", noon)
			must(t, err)
		}},
		{"idle too long", noon.Add(time.Hour), func(*testing.T, *tenants) {}},
		{"past its end", noon.Add(2 * time.Hour), func(*testing.T, *tenants) {}},
		{"user revoked", later, revokeAll(revocation.UserKind, "Alice")},
		{"client revoked", later, revokeAll(revocation.ClientKind, "reports")},
		{"project revoked", later, revokeAll(revocation.ProjectKind, "")},
		{"its parent is over", later, func(t *testing.T, x *tenants) {
			onStore(t, x.Store, `UPDATE grants SET revoked = 1 WHERE id = 'parent'`)
		}},
		{"another parent", later, func(t *testing.T, x *tenants) {
			onStore(t, x.Store, `UPDATE grants SET parent = '' WHERE id = 'known'`)
		}},
		{"user disabled", later, func(t *testing.T, x *tenants) {
			u := x.user
			u.Disabled, u.Version = true, 1
			_, err := x.ChangeUser(t.Context(), u, later)
			must(t, err)
		}},
		{"other claims", later, func(t *testing.T, x *tenants) {
			u := x.user
			u.Claims, u.Version = map[string]any{"role": "viewer"}, 1
			_, err := x.ChangeUser(t.Context(), u, later)
			must(t, err)
		}},
		{"another password", later, func(t *testing.T, x *tenants) {
			_, err := x.SetPassword(t.Context(), x.user.ID, 0, "another", later)
			must(t, err)
		}},
		{"user removed", later, func(t *testing.T, x *tenants) {
			must(t, x.RemoveUser(t.Context(), x.user.ID, 0))
		}},
		{"user removed and added again", later, func(t *testing.T, x *tenants) {
			must(t, x.RemoveUser(t.Context(), x.user.ID, 0))
			u := x.user
			u.ID = "another id"
			must(t, x.AddUser(t.Context(), u))
		}},
		{"client changed", later, func(t *testing.T, x *tenants) {
			c := x.client
			c.Active, c.Version = false, 1
			_, err := x.ChangeClient(t.Context(), c, later)
			must(t, err)
		}},
		{"client removed", later, func(t *testing.T, x *tenants) {
			must(t, x.RemoveClient(t.Context(), "reports", 0))
		}},
		{"client removed and added again", later, func(t *testing.T, x *tenants) {
			must(t, x.RemoveClient(t.Context(), "reports", 0))
			c := x.client
			c.Created = later
			must(t, x.AddClient(t.Context(), c))
		}},
		{"project changed", later, func(t *testing.T, x *tenants) {
			p := x.project
			p.Active, p.Version = false, 1
			_, err := x.ChangeProject(t.Context(), p, later)
			must(t, err)
		}},
		{"deleted", later, func(t *testing.T, x *tenants) {
			onStore(t, x.Store, `DELETE FROM grants WHERE id = 'known'`)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				x := newTenants(t, open())
				parent := wholeGrant("parent")
				must(t, x.AddGrant(t.Context(), parent))
				use := x.knownGrant(t, func(g *session.Grant) { g.Parent = parent.ID })
				c.change(t, x)
				before, missing := x.FindGrant(t.Context(), "known")
				if done, err := x.UseKnown(t.Context(), use, c.now); err != nil || done {
					t.Errorf("%v, %v", done, err)
				}
				if missing == nil {
					wantGrant(t, x.Store, before)
				}
			})
		})
	}
}

// onStore runs a statement that no verb has.
func onStore(t *testing.T, s *Store, text string) {
	t.Helper()
	must(t, s.write(t.Context(), func(x tx) error { return x.script(text) }))
}

// TestAKnownTokenIsUsedOnce: of hundreds that use one token at two nodes that know its grant, one
// rotates it. The others get the same successor inside the reuse interval, and without one the
// first of them ends the grant.
func TestAKnownTokenIsUsedOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		reuse time.Duration
	}{{"inside the interval", 10 * time.Second}, {"without one", 0}} {
		t.Run(c.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				nodes := issuingNodes(t, open)
				r := requestFor("Alice", c.reuse)
				r.Project, r.ClientID, r.Scopes = "acme", "reports", []string{"read"}
				raw := begun(t, nodes[0].Sessions, r).RefreshToken
				for i := range 4 { // both know it, and the last use is known to one alone
					raw = nodes[i%2].renewed(t, raw)
				}
				var rotated, repeated, reused, ended atomic.Int64
				atOnce(parallel, func(i int) {
					got, err := nodes[i%2].Refresh(t.Context(),
						issuance.Refresh{Token: raw, ClientID: "reports", Now: noon})
					refusal, refused := errors.AsType[*session.Refusal](err)
					switch {
					case err == nil && got.Verdict == session.Advanced:
						rotated.Add(1)
					case err == nil && got.Verdict == session.Repeated:
						repeated.Add(1)
					case refused && refusal.Verdict == session.Reused:
						reused.Add(1)
					case refused && refusal.Verdict == session.Ended:
						ended.Add(1)
					default:
						t.Errorf("%+v, %v", got, err)
					}
				})
				got := [4]int64{rotated.Load(), repeated.Load(), reused.Load(), ended.Load()}
				want := [4]int64{1, parallel - 1}
				if c.reuse == 0 {
					want = [4]int64{1, 0, 1, parallel - 2}
				}
				if got != want {
					t.Errorf("rotated, repeated, reused, ended: %v; want %v", got, want)
				}
			})
		})
	}
}

// renewed is the successor of a refresh token.
func (n *issuing) renewed(t *testing.T, raw string) string {
	t.Helper()
	got, err := n.Refresh(t.Context(), issuance.Refresh{Token: raw, ClientID: "reports", Now: noon})
	if err != nil || got.Verdict != session.Advanced {
		t.Fatalf("%+v, %v", got, err)
	}
	return got.RefreshToken
}

// TestWritesRaiseTheVersion: what is remembered of a project, a client or a user is told to be old
// by the version of its row, so every statement that changes one raises it. Three set a row to what
// it is, to lock it, or change the hash of the same password.
func TestWritesRaiseTheVersion(t *testing.T) {
	update := regexp.MustCompile("UPDATE (project|client|account|%s) SET [^`]*")
	locks := regexp.MustCompile(`SET (slug = slug|id = id|password_hash = \$1, hash_kind = \$2) WHERE`)
	files, err := filepath.Glob("*.go")
	must(t, err)
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		must(t, err)
		for _, statement := range update.FindAllString(string(text), -1) {
			found++
			if !strings.Contains(statement, "version = version + 1") && !locks.MatchString(statement) {
				t.Errorf("%s: %s", name, statement)
			}
		}
	}
	if found != 5 {
		t.Errorf("%d statements were found", found)
	}
}

// BenchmarkUseKnown is the store's part of a refresh whose grant is known, by 32 clients, beside
// its floor: the same engine that changes a row of the same size by its key and nothing else,
// durably and in the same groups.
func BenchmarkUseKnown(b *testing.B) {
	const clients = 32
	b.Run("sqlite", func(b *testing.B) {
		s := sqliteWithLimit(b, groupLimit)
		x := newTenants(b, s)
		uses := make([]issuance.KnownUse, clients)
		for i := range uses {
			uses[i] = x.knownGrant(b, func(g *session.Grant) { g.ID = fmt.Sprint("known ", i) })
		}
		cpuOf(b, clients, func(i int) error {
			done, err := s.UseKnown(b.Context(), uses[i], noon)
			if err == nil && !done {
				err = errors.New("it was not used")
			}
			uses[i].Grant.Generation++
			return err
		})
	})
	b.Run("floor", func(b *testing.B) {
		s := sqliteWithLimit(b, groupLimit)
		w := s.opened.Load().database.(*sqliteDatabase).writer
		must(b, w.do(b.Context(), func(t tx) error {
			err := t.script(`CREATE TABLE plain (id TEXT NOT NULL PRIMARY KEY, number BIGINT NOT NULL,
				rest TEXT NOT NULL)`)
			for i := range clients {
				if err == nil {
					_, err = t.exec(`INSERT INTO plain VALUES ($1, 0, $2)`, fmt.Sprint("known ", i),
						strings.Repeat("x", 400))
				}
			}
			return err
		}))
		cpuOf(b, clients, func(i int) error {
			return w.doOne(b.Context(), func(t tx) error {
				_, err := t.exec(`UPDATE plain SET number = number + 1 WHERE id = $1`, fmt.Sprint("known ", i))
				return err
			})
		})
	})
}

// cpuOf lets each client repeat f, and reports the processor's time.
func cpuOf(b *testing.B, clients int, f func(client int) error) {
	before := cputime.Now()
	measure(b, clients, f)
	b.ReportMetric(float64(cputime.Now()-before)/float64(b.N), "cpu-ns/op")
}
