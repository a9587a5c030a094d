package sqlstore

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

func mustAddGrants(t *testing.T, s *Store, grants ...session.Grant) {
	t.Helper()
	for _, g := range grants {
		if err := s.AddGrant(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
}

// ownedBy is a grant of the first epoch.
func ownedBy(id, project, subject, client string) session.Grant {
	g := wholeGrant(id)
	g.Project, g.Subject, g.ClientID = project, subject, client
	return g
}

func TestDenialsComeInOrderAndOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, other := open(), open()
		none, cursor, err := s.Denials(t.Context(), 0)
		if err != nil || len(none) != 0 {
			t.Fatalf("denials of a new store: %v, %v", none, err)
		}
		var want []revocation.Denial
		for i := range 4 {
			d, err := []*Store{s, other}[i%2].RevokeToken(t.Context(), "https://iss", fmt.Sprint("jti ", i),
				noon.Add(time.Hour), noon)
			if err != nil || !d.Until.Equal(noon.Add(time.Hour+revocation.Margin)) {
				t.Fatalf("%+v, %v", d, err)
			}
			want = append(want, d)
			if i == 1 {
				continue // two at once
			}
			got, next, err := s.Denials(t.Context(), cursor)
			if err != nil || !slices.Equal(got, want) || next <= cursor {
				t.Fatalf("after %d: %+v, %d, %v; want %+v", i, got, next, err, want)
			}
			again, same, err := s.Denials(t.Context(), next)
			if err != nil || len(again) != 0 || same != next {
				t.Fatalf("nothing new gave %+v, %d, %v", again, same, err)
			}
			cursor, want = next, nil
		}
		all, _, err := other.Denials(t.Context(), 0)
		if err != nil || len(all) != 4 {
			t.Errorf("a node that starts sees %d, %v; want 4", len(all), err)
		}
		// The clock that says so may be ahead, and the token good again when it comes back.
		d, err := s.RevokeToken(t.Context(), "https://iss", "old", noon, noon.Add(240*time.Hour))
		if got, _, err2 := s.Denials(t.Context(), cursor); err != nil || err2 != nil || len(got) != 1 || got[0] != d {
			t.Errorf("an expired token was not denied: %+v, %v, %+v, %v", d, err, got, err2)
		}
	})
}

func TestSecondDenialOfTheSameNeverShortensTheFirst(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		for _, until := range []time.Duration{time.Minute, time.Hour, time.Second} {
			if _, err := s.RevokeToken(t.Context(), "iss", "jti", noon.Add(until), noon); err != nil {
				t.Fatal(err)
			}
		}
		got, _, err := s.Denials(t.Context(), 0)
		if err != nil || len(got) != 1 || !got[0].Until.Equal(noon.Add(time.Hour+revocation.Margin)) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// A node which polls while others revoke misses nothing, however the transactions overlap.
func TestPollMissesNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open(), open()}
		const writers, each = 6, 40
		for w := range writers {
			mustAddGrants(t, nodes[0], ownedBy(fmt.Sprint("family ", w), "p", "somebody else", "c"))
		}
		var left atomic.Int32
		left.Store(writers)
		seen := map[string]int{}
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				defer left.Add(-1)
				for i := range each {
					revokeSomething(t, nodes[w%2], w, i)
				}
			})
		}
		var cursor revocation.Cursor
		for last := false; !last; {
			last = left.Load() == 0
			denials, next, err := nodes[2].Denials(t.Context(), cursor)
			if err != nil {
				t.Fatal(err)
			}
			if next < cursor {
				t.Fatalf("the cursor went back from %d to %d", cursor, next)
			}
			cursor = next
			for _, d := range denials {
				seen[string(d.Kind)+" "+d.ID]++
			}
		}
		all.Wait()
		for w := range writers {
			for i := range each {
				if name := fmt.Sprintf("token %d-%d", w, i); seen[name] != 1 {
					t.Errorf("%s was seen %d times", name, seen[name])
				}
			}
			for _, name := range []string{fmt.Sprint("family family ", w), fmt.Sprint("user user ", w)} {
				if seen[name] < 1 {
					t.Errorf("%s was not seen", name)
				}
			}
		}
	})
}

// revokeSomething denies a token each time, a family once and a user now and then.
func revokeSomething(t *testing.T, s *Store, w, i int) {
	if _, err := s.RevokeToken(t.Context(), "iss", fmt.Sprintf("%d-%d", w, i), noon.Add(time.Hour), noon); err != nil {
		t.Error(err)
	}
	if i == 20 {
		if _, err := s.RevokeGrant(t.Context(), fmt.Sprint("family ", w), "logout", noon); err != nil {
			t.Error(err)
		}
	}
	if i%10 == 3 {
		if _, _, err := s.RevokeAll(t.Context(),
			revocation.Revocation{Kind: revocation.UserKind, Project: "p", ID: fmt.Sprint("user ", w), Until: noon},
			noon); err != nil {
			t.Error(err)
		}
	}
}

func TestStoreThatWasSetBackIsReadFromTheStart(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		if _, err := s.RevokeToken(t.Context(), "iss", "kept", noon.Add(time.Hour), noon); err != nil {
			t.Fatal(err)
		}
		_, cursor, err := s.Denials(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		got, back, err := s.Denials(t.Context(), cursor+1000)
		if err != nil || len(got) != 1 || back != cursor {
			t.Errorf("from the future: %+v, %d, %v; want all and %d", got, back, err, cursor)
		}
	})
}

func TestOrdersEndTheirGrants(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		for i, c := range []struct {
			kind revocation.Kind
			id   string
			want string
		}{
			{revocation.UserKind, "alice", "a-web b-web"},
			{revocation.ClientKind, "web", "a-web b-web c-web"},
			{revocation.ProjectKind, "", "a-web b-web c-web d-cli"},
		} {
			s := open()
			project := fmt.Sprint("project ", i)
			grants := []session.Grant{
				ownedBy("a-web", project, "alice", "web"), ownedBy("b-web", project, "alice", "web"),
				ownedBy("c-web", project, "bob", "web"), ownedBy("d-cli", project, "bob", "cli"),
				ownedBy("e-web", "elsewhere", "alice", "web"),
			}
			grants[1].AccessUntil = noon.Add(3 * time.Hour)
			for j := range grants {
				grants[j].ID += fmt.Sprint(i)
			}
			mustAddGrants(t, s, grants...)
			before, err := s.Epoch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n, d, err := s.RevokeAll(t.Context(),
				revocation.Revocation{
					Kind:    c.kind,
					Project: project,
					ID:      c.id,
					Reason:  "paused",
					Until:   noon.Add(time.Hour),
				}, noon)
			wanted := revocation.Denial{
				Kind:  c.kind,
				Scope: project,
				ID:    c.id,
				Epoch: d.Epoch,
				Until: noon.Add(3*time.Hour + revocation.Margin),
			}
			if err != nil || d != wanted || d.Epoch <= before {
				t.Errorf("%s: denial %+v, %v; want %+v", c.kind, d, err, wanted)
			}
			ended := ""
			for _, g := range grants {
				got, err := s.FindGrant(t.Context(), g.ID)
				if err != nil {
					t.Fatal(err)
				}
				if !got.Revoked.IsZero() && got.RevokedFor == "paused" {
					ended += " " + g.ID[:5]
					n--
				}
			}
			if n != 0 || ended != " "+c.want {
				t.Errorf("%s ended%s, %d unaccounted for; want %s", c.kind, ended, n, c.want)
			}
			if after, err := s.Epoch(t.Context()); err != nil || after != d.Epoch {
				t.Errorf("the epoch is %d, %v; want %d", after, err, d.Epoch)
			}
		}
		if _, _, err := open().RevokeAll(t.Context(),
			revocation.Revocation{Kind: revocation.FamilyKind, Project: "p", ID: "f"}, noon); err == nil {
			t.Error("a family was revoked by epoch")
		}
	})
}

func TestEpochsGrowWithEachOrderAndFollowTheClock(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open()}
		var mu sync.Mutex
		epochs := map[int64]bool{}
		atOnce(40, func(i int) {
			_, d, err := nodes[i%2].RevokeAll(t.Context(),
				revocation.Revocation{Kind: revocation.UserKind, Project: "p", ID: fmt.Sprint(i % 3), Until: noon},
				noon)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			epochs[d.Epoch] = true
		})
		if len(epochs) != 40 {
			t.Errorf("%d epochs of 40 orders", len(epochs))
		}
		for epoch := range epochs {
			if epoch < noon.UnixMilli() || epoch >= noon.UnixMilli()+40 {
				t.Errorf("epoch %d is not in the 40 milliseconds after noon", epoch)
			}
		}
		_, d, err := nodes[0].RevokeAll(t.Context(),
			revocation.Revocation{Kind: revocation.UserKind, Project: "p", ID: "x", Until: noon}, noon.Add(-time.Hour))
		if err != nil || d.Epoch != noon.UnixMilli()+40 {
			t.Errorf("with a clock that was set back: %d, %v; want %d", d.Epoch, err, noon.UnixMilli()+40)
		}
	})
}

func TestGrantIsNotAddedAfterAnOrderItsOwnerWasCheckedBefore(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		for _, o := range []revocation.Revocation{
			{Kind: revocation.UserKind, Project: "p1", ID: "alice"},
			{Kind: revocation.ClientKind, Project: "p2", ID: "web"}, {Kind: revocation.ProjectKind, Project: "p3"},
		} {
			known, err := s.Epoch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			o.Until = noon.Add(time.Hour)
			_, d, err := s.RevokeAll(t.Context(), o, noon)
			if err != nil {
				t.Fatal(err)
			}
			g := ownedBy("late "+o.Project, o.Project, "alice", "web")
			g.Epoch = known
			if err := s.AddGrant(t.Context(), g); err != session.ErrOvertaken {
				t.Errorf("%s: %v, want ErrOvertaken", o.Kind, err)
			}
			if _, err := s.FindGrant(t.Context(), g.ID); err != session.ErrNoGrant {
				t.Errorf("%s: the refused grant stands: %v", o.Kind, err)
			}
			g.Epoch = d.Epoch
			mustAddGrants(t, s, g)
		}
	})
}

// A grant which was being added while an order was carried out can escape its list. It cannot be
// used, and it is ended before the order is forgotten.
func TestGrantThatEscapedAnOrderIsUselessAndEnded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		_, d, err := s.RevokeAll(t.Context(),
			revocation.Revocation{Kind: revocation.UserKind, Project: "p", ID: "alice", Until: noon}, noon)
		if err != nil {
			t.Fatal(err)
		}
		escaped, innocent := ownedBy("escaped", "p", "alice", "web"), ownedBy("innocent", "p", "bob", "web")
		later := ownedBy("later", "p", "alice", "web")
		later.Epoch = d.Epoch
		for _, g := range []session.Grant{escaped, innocent, later} {
			row, err := writeGrant(g)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.write(t.Context(), func(t tx) error {
				_, err := t.exec(insertGrant, row...)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		use := func(id string, want session.Verdict) {
			t.Helper()
			r := session.Rotation{ID: id, Generation: 3, ClientID: "web", AccessUntil: noon}
			if done, err := s.RotateGrant(t.Context(), r, noon.Add(time.Second)); err != nil || done.Verdict != want {
				t.Errorf("using %s: %s, %v; want %s", id, done.Verdict, err, want)
			}
		}
		use("escaped", session.Ended)
		use("innocent", session.Advanced)
		if n, err := s.DeleteOver(t.Context(), noon.Add(revocation.Margin), 100); err != nil || n != 1 {
			t.Fatalf("deleted %d, %v; want the denial", n, err)
		}
		g, err := s.FindGrant(t.Context(), "escaped")
		if err != nil || g.Revoked.IsZero() {
			t.Errorf("the escaped grant outlived the order: %+v, %v", g, err)
		}
		use("escaped", session.Ended)
		use("later", session.Advanced)
	})
}

func TestWhatIsOverIsDeletedInBatches(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		for i := range 6 {
			g := ownedBy(fmt.Sprint("over ", i), "p", fmt.Sprint("user ", i), "web")
			g.IdleEnds, g.AccessUntil = noon, noon
			long := ownedBy(fmt.Sprint("access lives ", i), "p", "bob", "web")
			long.IdleEnds, long.AccessUntil = noon, noon.Add(time.Millisecond)
			mustAddGrants(t, s, g, long, ownedBy(fmt.Sprint("live ", i), "p", "bob", "web"))
			for _, d := range []time.Duration{-revocation.Margin, time.Hour} {
				_, err := s.RevokeToken(t.Context(), "iss", fmt.Sprint(i, d), noon.Add(d), noon.Add(-time.Hour))
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := s.RevokeAll(t.Context(),
				revocation.Revocation{
					Kind:    revocation.UserKind,
					Project: "q",
					ID:      fmt.Sprint(i),
					Until:   noon.Add(-revocation.Margin),
				}, noon); err != nil {
				t.Fatal(err)
			}
		}
		total := 0
		for range 10 {
			n, err := s.DeleteOver(t.Context(), noon, 4)
			if err != nil || n > 4 {
				t.Fatalf("deleted %d, %v", n, err)
			}
			total += n
		}
		if total != 18 {
			t.Errorf("deleted %d, want 6 grants, 6 tokens and 6 orders", total)
		}
		left, err := s.ListGrants(t.Context(), session.Filter{})
		if err != nil || len(left) != 12 {
			t.Errorf("%d grants are left, %v; want 12", len(left), err)
		}
		denials, _, err := s.Denials(t.Context(), 0)
		if err != nil || len(denials) != 6 {
			t.Errorf("%d denials are left, %v; want 6", len(denials), err)
		}
	})
}

// Everything at once on two nodes: no deadlock, no error, and every family that was reused or
// revoked is denied.
func TestSessionsUnderMixedLoad(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*session.Service{sessionsOn(open()), sessionsOn(open())}
		atOnce(12, func(g int) {
			node := nodes[g%2]
			for i := range 12 {
				var err error
				switch user := fmt.Sprint("user ", i%3); g % 6 {
				case 0:
					_, err = node.RevokeAll(t.Context(),
						revocation.Revocation{Kind: revocation.UserKind, Project: "default", ID: user}, noon)
				case 1:
					_, err = node.RevokeAll(t.Context(),
						revocation.Revocation{Kind: revocation.ProjectKind, Project: "default"}, noon)
				case 2:
					_, err = node.Store.DeleteOver(t.Context(), noon.Add(time.Hour), 50)
				default:
					err = liveOneSession(t, node, user)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	})
}

// liveOneSession begins, refreshes, uses a token twice and signs out; that an order ends it is no
// error.
func liveOneSession(t *testing.T, s *session.Service, user string) error {
	first, err := s.Begin(t.Context(), requestFor(user, 0), noon)
	if err == nil {
		_, err = use(t.Context(), s, first.RefreshToken, "web", noon)
	}
	if err == nil {
		_, err = use(t.Context(), s, first.RefreshToken, "web", noon)
	}
	if _, refused := err.(*session.Refusal); !refused {
		return fmt.Errorf("using a token twice: %v", err)
	}
	return s.RevokeFamily(t.Context(), first.Grant.ID, "logout", noon)
}

// BenchmarkRevoke ends a session: the grant and its denial.
func BenchmarkRevoke(b *testing.B) {
	for _, e := range engines {
		for _, clients := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", e.name, clients), func(b *testing.B) {
				s := sessionsOn(e.fresh(b)())
				families := make(chan string, b.N)
				atOnce(64, func(i int) {
					for ; i < b.N; i += 64 {
						families <- begun(b, s, requestFor("alice", 0)).Grant.ID
					}
				})
				measure(b, clients, func(int) error { return s.RevokeFamily(b.Context(), <-families, "logout", noon) })
			})
		}
	}
}
