package sqlstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// sessionsOn is a service on a store.
func sessionsOn(s session.Store) *session.Service {
	return &session.Service{
		Store:    s,
		Tokens:   session.Tokens{Secrets: []session.Secret{{ID: "1", Key: []byte("0123456789abcdef0123456789abcdef")}}},
		DenyList: &revocation.DenyList{},
	}
}

func requestFor(subject string, reuse time.Duration) session.GrantRequest {
	return session.GrantRequest{
		Project:  "default",
		Subject:  subject,
		ClientID: "web",
		Kind:     "browser",
		Audience: []string{"web"},
		Access:   accessLifetime,
		Idle:     24 * time.Hour,
		Absolute: 30 * 24 * time.Hour,
		Reuse:    reuse,
	}
}

const accessLifetime = 15 * time.Minute

// use presents and uses a refresh token.
func use(ctx context.Context, s *session.Service, token, clientID string, now time.Time) (session.Issued, error) {
	p, err := s.Present(ctx, token)
	if err != nil {
		return session.Issued{}, err
	}
	return s.Use(ctx, p, clientID, now.Add(accessLifetime), now)
}

func begun(t testing.TB, s *session.Service, o session.GrantRequest) session.Issued {
	t.Helper()
	i, err := s.Begin(t.Context(), o, noon)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// wholeGrant has a value in every field.
func wholeGrant(id string) session.Grant {
	return session.Grant{
		ID:          id,
		Seed:        []byte("seed\x00\xff"),
		Project:     "default",
		Subject:     "алиса",
		ClientID:    "web",
		Audience:    []string{"web", "https://x/\"y"},
		Scopes:      []string{"read", "write"},
		Kind:        "browser",
		Device:      "Firefox 'on' Linux\n",
		ClientIP:    "2001:db8::1",
		Generation:  3,
		Repeats:     2,
		Epoch:       1,
		Created:     noon,
		Rotated:     noon.Add(1),
		LastUsed:    noon.Add(2 * time.Millisecond),
		IdleEnds:    noon.Add(time.Hour),
		Ends:        noon.Add(2 * time.Hour),
		AccessUntil: noon.Add(15 * time.Minute),
		Idle:        time.Hour,
		Reuse:       10 * time.Second,

		SignIn:        "sso",
		Offline:       true,
		AuthTime:      noon.Add(-time.Hour),
		ACR:           "urn:\"x\"",
		AMR:           []string{"pwd", "otp"},
		JKT:           "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
		X5T:           "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2",
		ClaimsRequest: `{"userinfo":{"имя":null}}`,
	}
}

func TestGrantComesBackWhole(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		full, bare := wholeGrant("full"), session.Grant{
			ID:       "bare",
			Seed:     []byte{1},
			Fixed:    true,
			IdleEnds: noon,
			Ends:     noon,
		}
		full.Rotated = noon
		child := full
		child.ID, child.Parent = "child", full.ID
		for _, g := range []session.Grant{full, bare, child} {
			if err := s.AddGrant(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			got, err := s.FindGrant(t.Context(), g.ID)
			if err != nil || !reflect.DeepEqual(got, g) {
				t.Errorf("came back as %+v, %v\nwant %+v", got, err, g)
			}
		}
		if _, err := s.FindGrant(t.Context(), "absent"); !errors.Is(err, session.ErrNoGrant) {
			t.Errorf("an absent grant: %v", err)
		}
		if err := s.AddGrant(t.Context(), full); err == nil {
			t.Error("the same family twice")
		}
	})
}

// The statement against the rule in Go, over random uses at random times.
func TestRotationFollowsTheRule(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		seen := map[session.Verdict]int{}
		for seed := range uint64(60) {
			random := rand.New(rand.NewPCG(seed, 11))
			g := session.Grant{
				ID:          fmt.Sprint("family-", seed),
				Seed:        []byte("s"),
				Project:     "p",
				Subject:     "u",
				ClientID:    "web",
				Epoch:       1,
				Created:     noon,
				Rotated:     noon,
				LastUsed:    noon,
				IdleEnds:    noon.Add(time.Hour),
				Ends:        noon.Add(150 * time.Minute),
				Idle:        time.Hour,
				AccessUntil: noon.Add(time.Minute),
				Reuse:       []time.Duration{0, time.Millisecond, 10 * time.Second, time.Minute}[random.IntN(4)],
				Fixed:       random.IntN(5) == 0,
			}
			if err := s.AddGrant(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			now := noon
			steps := []int64{0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, 1, 1, -2}
			if seed%2 == 0 {
				steps = []int64{0} // a family that lives to its end
			}
			for step := range 25 {
				if step == 12 && seed%5 == 1 { // the clock comes back
					now = now.Add([]time.Duration{-time.Minute, -5 * time.Minute, -time.Hour}[random.IntN(3)])
				}
				now = now.Add([]time.Duration{
					0, time.Millisecond, time.Second, 9 * time.Second, 10 * time.Second, time.Minute, 50 * time.Minute,
				}[random.IntN(7)])
				r := session.Rotation{
					ID:          g.ID,
					ClientID:    "web",
					AccessUntil: now.Add([]time.Duration{time.Minute, 15 * time.Minute}[random.IntN(2)]),
					Generation:  max(0, g.Generation+steps[random.IntN(len(steps))]),
				}
				if random.IntN(20) == 0 {
					r.ClientID = "another"
				}
				followOne(t, s, &g, r, now, seen, fmt.Sprintf("seed %d, step %d", seed, step))
			}
		}
		for _, v := range []session.Verdict{
			session.Advanced, session.Repeated, session.Kept, session.Reused, session.Ended, session.Expired,
			session.Future, session.OtherClient,
		} {
			if seen[v] < 5 {
				t.Errorf("%s came up %d times only: %v", v, seen[v], seen)
			}
		}
	})
}

func followOne(t *testing.T, s *Store, g *session.Grant, r session.Rotation, now time.Time,
	seen map[session.Verdict]int, name string) {
	t.Helper()
	want, verdict := g.Use(r, now)
	done, err := s.RotateGrant(t.Context(), r, now)
	if err != nil || done.Verdict != verdict || done.Epoch != 1 {
		t.Fatalf("%s: %s at epoch %d, %v; want %s at 1\n%+v of %+v at %v", name, done.Verdict, done.Epoch, err,
			verdict, r, *g, now)
	}
	standing, err := s.FindGrant(t.Context(), g.ID)
	if err != nil || !reflect.DeepEqual(standing, want) || !reflect.DeepEqual(done.Grant, want) {
		t.Fatalf("%s (%s): stands as %+v\nand was told as %+v, %v\nwant %+v", name, verdict, standing, done.Grant, err,
			want)
	}
	denied := len(done.Denials) == 1 && done.Denials[0].Kind == revocation.FamilyKind && done.Denials[0].ID == g.ID
	if denied != (verdict == session.Reused) || len(done.Denials) > 1 {
		t.Fatalf("%s (%s): denials %+v", name, verdict, done.Denials)
	}
	*g = want
	seen[verdict]++
}

// outcomes counts what parallel uses of one token came to.
type outcomes struct {
	mu         sync.Mutex
	verdicts   map[session.Verdict]int
	successors map[string]bool
	issued     []session.Issued
}

func (o *outcomes) add(t *testing.T, i session.Issued, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.verdicts == nil {
		o.verdicts, o.successors = map[session.Verdict]int{}, map[string]bool{}
	}
	r, refused := errors.AsType[*session.Refusal](err)
	switch {
	case refused:
		o.verdicts[r.Verdict]++
	case err != nil:
		t.Errorf("a loser got an error of the store: %v", err)
	default:
		o.verdicts[i.Verdict]++
		o.successors[i.RefreshToken] = true
		o.issued = append(o.issued, i)
	}
}

func TestTwoHundredUsesAtOnceInsideTheInterval(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*session.Service{sessionsOn(open()), sessionsOn(open())}
		first := begun(t, nodes[0], requestFor("alice", 10*time.Second))
		var got outcomes
		atOnce(200, func(i int) {
			issued, err := use(t.Context(), nodes[i%2], first.RefreshToken, "web",
				noon.Add(time.Minute+time.Duration(i)*time.Millisecond))
			got.add(t, issued, err)
		})
		if len(got.successors) != 1 || got.verdicts[session.Advanced] != 1 || got.verdicts[session.Repeated] != 199 {
			t.Errorf("%d successors, %v; want one rotation and 199 repetitions of it", len(got.successors),
				got.verdicts)
		}
		for successor := range got.successors {
			if _, err := use(t.Context(), nodes[1], successor, "web", noon.Add(time.Hour)); err != nil {
				t.Errorf("the successor is not good: %v", err)
			}
		}
	})
}

// Without an interval the second use of a token is reuse, parallel or not: one use wins, the next
// ends the family.
func TestTwoHundredUsesAtOnceWithoutAnInterval(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*session.Service{sessionsOn(open()), sessionsOn(open())}
		first := begun(t, nodes[0], requestFor("alice", 0))
		var got outcomes
		atOnce(200, func(i int) {
			issued, err := use(t.Context(), nodes[i%2], first.RefreshToken, "web", noon.Add(time.Minute))
			got.add(t, issued, err)
		})
		if got.verdicts[session.Advanced] != 1 || got.verdicts[session.Reused] != 1 ||
			got.verdicts[session.Ended] != 198 {
			t.Errorf("%v; want one rotation, one reuse, and 198 uses of a revoked family", got.verdicts)
		}
		for successor := range got.successors {
			_, err := use(t.Context(), nodes[0], successor, "web", noon.Add(time.Hour))
			refusedAs(t, err, session.Ended)
		}
		denials, _, err := nodes[1].Store.Denials(t.Context(), 0)
		if err != nil || len(denials) != 1 || denials[0].ID != first.Grant.ID ||
			denials[0].Until.Before(noon.Add(16*time.Minute+revocation.Margin)) {
			t.Errorf("denials %+v, %v", denials, err)
		}
	})
}

func refusedAs(t *testing.T, err error, want session.Verdict) {
	t.Helper()
	if r, ok := errors.AsType[*session.Refusal](err); !ok || r.Verdict != want {
		t.Errorf("error %v, want the refusal %s", err, want)
	}
}

func TestReuseIsDetectedAfterARestart(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		before := sessionsOn(s)
		first := begun(t, before, requestFor("alice", 10*time.Second))
		second, err := use(t.Context(), before, first.RefreshToken, "web", noon.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		after := sessionsOn(open())
		_, err = use(t.Context(), after, first.RefreshToken, "web", noon.Add(2*time.Minute))
		refusedAs(t, err, session.Reused)
		_, err = use(t.Context(), after, second.RefreshToken, "web", noon.Add(2*time.Minute))
		refusedAs(t, err, session.Ended)
	})
}

func TestRevokingAGrantTwice(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		g := wholeGrant("f")
		if err := s.AddGrant(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		want := revocation.Denial{Kind: revocation.FamilyKind, ID: "f", Until: g.AccessUntil.Add(revocation.Margin)}
		for i, wanted := range [][]revocation.Denial{{want}, nil} {
			if d, err := s.RevokeGrant(t.Context(), "f", fmt.Sprint("order ", i), noon.Add(time.Minute)); err != nil ||
				!slices.Equal(d, wanted) {
				t.Errorf("time %d: %+v, %v; want %+v", i, d, err, wanted)
			}
		}
		if d, err := s.RevokeGrant(t.Context(), "absent", "logout", noon); err != nil || d != nil {
			t.Errorf("an absent grant: %+v, %v", d, err)
		}
		got, err := s.FindGrant(t.Context(), "f")
		if err != nil || got.RevokedFor != "order 0" || !got.Revoked.Equal(noon.Add(time.Minute)) {
			t.Errorf("stands as %+v, %v", got, err)
		}
		denials, _, err := s.Denials(t.Context(), 0)
		if err != nil || !slices.Equal(denials, []revocation.Denial{want}) {
			t.Errorf("denials %+v, %v", denials, err)
		}
		for _, id := range []string{"quiet", "long over"} {
			if err := s.AddGrant(t.Context(), wholeGrant(id)); err != nil {
				t.Fatal(err)
			}
		}
		later := want.Until.Add(time.Minute)
		streams := revocation.Denial{Kind: revocation.FamilyKind, ID: "quiet", Until: later.Add(revocation.Margin)}
		if d, err := s.RevokeGrant(
			t.Context(),
			"quiet",
			"logout",
			later,
		); err != nil ||
			!slices.Equal(d, []revocation.Denial{streams}) {
			t.Errorf("a family without a living access token, which may have streams: %+v, %v; want %+v", d, err,
				streams)
		}
		over := revocation.Denial{
			Kind:  revocation.FamilyKind,
			ID:    "long over",
			Until: g.IdleEnds.Add(revocation.Margin),
		}
		if d, err := s.RevokeGrant(t.Context(), "long over", "logout", over.Until.Add(time.Hour)); err != nil ||
			!slices.Equal(d, []revocation.Denial{over}) {
			t.Errorf("a family that has ended by itself, by a clock that may be ahead: %+v, %v; want %+v", d, err, over)
		}
	})
}

// Orders and refreshes at the same moment: whatever a refresh got, the order denies it or it came
// before nothing.
func TestOrderWinsOverRefreshesAndSignIns(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*session.Service{sessionsOn(open()), sessionsOn(open())}
		for round := range 15 {
			subject := fmt.Sprint("user ", round)
			var issued outcomes
			tokens := make([]string, 8)
			for i := range tokens {
				tokens[i] = begun(t, nodes[i%2], requestFor(subject, 0)).RefreshToken
			}
			known, err := nodes[0].Epoch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			atOnce(13, func(i int) {
				node := nodes[i%2]
				switch {
				case i == 12:
					o := revocation.Revocation{
						Kind:    revocation.UserKind,
						Project: "default",
						ID:      subject,
						Reason:  "disabled",
					}
					if _, err := node.RevokeAll(t.Context(), o, noon); err != nil {
						t.Error(err)
					}
				case i >= 8:
					o := requestFor(subject, 0)
					o.Epoch = known
					got, err := node.Begin(t.Context(), o, noon)
					issued.add(t, got, err)
				default:
					// They end by themselves: SQLite is not fair to who waits beside a writer that
					// never pauses, and the order must get its turn.
					token := tokens[i]
					for range 50 {
						got, err := use(t.Context(), node, token, "web", noon)
						issued.add(t, got, err)
						if err != nil {
							return
						}
						token = got.RefreshToken
					}
				}
			})
			checkAllDenied(t, nodes[0], issued.issued)
			if n := issued.verdicts[session.Reused]; n > 0 {
				t.Errorf("%d refreshes were taken for reuse", n)
			}
		}
	})
}

// checkAllDenied demands that no access token and no refresh token of these outlived the order.
func checkAllDenied(t *testing.T, node *session.Service, issued []session.Issued) {
	t.Helper()
	var list revocation.DenyList
	denials, _, err := node.Store.Denials(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	list.Add(denials...)
	for _, i := range issued {
		g := i.Grant
		if list.Denied(revocation.Subject{
			Family:   g.ID,
			Project:  g.Project,
			Subject:  g.Subject,
			ClientID: g.ClientID,
			Epoch:    i.Epoch,
		}) == "" {
			t.Errorf("an access token of epoch %d is not denied by %+v", i.Epoch, denials[len(denials)-1])
		}
		_, err := use(t.Context(), node, i.RefreshToken, "web", noon)
		refusedAs(t, err, session.Ended)
	}
}

func TestGrantsAreListed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		for i := range 12 {
			g := wholeGrant(fmt.Sprintf("f%02d", i))
			g.Subject, g.ClientID, g.Kind = fmt.Sprint("u", i%2), fmt.Sprint("c", i%3), []string{"browser", "api"}[i/6]
			if i == 11 {
				g.Project = "other"
			}
			if err := s.AddGrant(t.Context(), g); err != nil {
				t.Fatal(err)
			}
		}
		under := wholeGrant("under")
		under.Parent, under.ClientID = "f09", "rp"
		if err := s.AddGrant(t.Context(), under); err != nil {
			t.Fatal(err)
		}
		apart := wholeGrant("apart")
		apart.SignIn, apart.ClientID, apart.Project = "f05", "rp", "apart"
		if err := s.AddGrant(t.Context(), apart); err != nil {
			t.Fatal(err)
		}
		if _, err := s.RevokeGrant(t.Context(), "f00", "logout", noon); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			f    session.Filter
			want string
		}{
			{session.Filter{Limit: 3}, "apart f00 f01"},
			{session.Filter{Limit: 3, After: "f09"}, "f10 f11 under"},
			{session.Filter{Project: "other"}, "f11"},
			{session.Filter{Project: "default", Subject: "u0"}, "f00 f02 f04 f06 f08 f10"},
			{session.Filter{Subject: "u0", LiveAt: noon}, "f02 f04 f06 f08 f10"},
			{session.Filter{LiveAt: noon.Add(time.Hour)}, ""},
			{session.Filter{Project: "default", ClientID: "c1", Kind: "api"}, "f07 f10"},
			{session.Filter{ID: "f05"}, "f05"},
			{session.Filter{SignIn: "f05"}, "apart f05"},
			{session.Filter{SignIn: "f05", ClientID: "rp"}, "apart"},
			{session.Filter{SignIn: "f09"}, "f09 under"},
			{session.Filter{SignIn: "f09", ClientID: "rp"}, "under"},
			{session.Filter{SignIn: "under"}, "under"},
			{session.Filter{SignIn: "unknown"}, ""},
			{session.Filter{Subject: "' OR 1=1 --"}, ""},
		} {
			grants, err := s.ListGrants(t.Context(), c.f)
			var ids []string
			for _, g := range grants {
				ids = append(ids, g.ID)
				if g.Seed != nil || g.Device == "" {
					t.Errorf("listed as %+v", g)
				}
			}
			if got := strings.Join(ids, " "); err != nil || got != c.want {
				t.Errorf("%+v: %s, %v; want %s", c.f, got, err, c.want)
			}
		}
	})
}

func TestClosedStoreHasNoSessions(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		verbs := []struct {
			name string
			verb func() error
		}{
			{"Epoch", func() error { _, err := s.Epoch(ctx); return err }},
			{"AddGrant", func() error { return s.AddGrant(ctx, wholeGrant("f")) }},
			{"FindGrant", func() error { _, err := s.FindGrant(ctx, "f"); return err }},
			{"RotateGrant", func() error { _, err := s.RotateGrant(ctx, session.Rotation{ID: "f"}, noon); return err }},
			{"RevokeGrant", func() error { _, err := s.RevokeGrant(ctx, "f", "", noon); return err }},
			{"RevokeAll", func() error {
				_, _, err := s.RevokeAll(ctx, revocation.Revocation{Kind: revocation.UserKind, Project: "p", ID: "u"},
					noon)
				return err
			}},
			{"RevokeToken", func() error { _, err := s.RevokeToken(ctx, "iss", "jti", noon, noon); return err }},
			{"ListGrants", func() error { _, err := s.ListGrants(ctx, session.Filter{}); return err }},
			{"Denials", func() error { _, _, err := s.Denials(ctx, 0); return err }},
			{"DeleteOver", func() error { _, err := s.DeleteOver(ctx, noon, 1); return err }},
		}
		for _, c := range verbs {
			t.Run(c.name, func(t *testing.T) {
				if err := c.verb(); !errors.Is(err, ErrUnavailable) {
					t.Errorf("%s: %v does not wrap ErrUnavailable", c.name, err)
				}
			})
		}
	})
}

const rotateVariable = "SQLSTORE_TEST_ROTATE"

// rotateUntilKilled is the process that TestKilledRotations kills: it rotates families with and
// without a reuse interval and prints each token which it got.
func rotateUntilKilled(url string) {
	store, err := New(url)
	if err == nil {
		err = store.Open(context.Background())
	}
	giveUp(err)
	s := sessionsOn(store)
	var out sync.Mutex
	for family := range 8 {
		go func() {
			i, err := s.Begin(context.Background(), requestFor("alice", time.Duration(family%2)*time.Minute), noon)
			for {
				giveUp(err)
				out.Lock()
				fmt.Println("token", family, i.RefreshToken)
				out.Unlock()
				i, err = use(context.Background(), s, i.RefreshToken, "web", noon)
			}
		}()
	}
	select {}
}

func giveUp(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A client that knows the last token which was acknowledged to it goes on after the crash. With an
// interval also when a rotation was committed whose answer never came; without one that is reuse.
// No token works twice.
func TestKilledRotations(t *testing.T) {
	urls := []struct {
		name string
		url  func(t *testing.T) string
	}{
		{"sqlite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "auth.db") }},
		{"postgres", func(t *testing.T) string { return pgtest.Server(t).URL(t) }},
	}
	for _, c := range urls {
		t.Run(c.name, func(t *testing.T) {
			for round := range 3 {
				url := c.url(t)
				held := rotateInAnotherProcess(t, url, 100+130*round)
				waitForOrphans(t, url)
				s := sessionsOn(openAt(t, url))
				lost := 0
				for family, tokens := range held {
					lost += checkHeldTokens(t, s, family%2 == 1, tokens)
				}
				t.Logf("round %d: %d of %d families without an interval were lost to a lost answer", round, lost,
					len(held)/2)
			}
		})
	}
}

// waitForOrphans waits until the server has noticed that the killed process is gone: until then it
// may still commit what that sent.
func waitForOrphans(t *testing.T, url string) {
	t.Helper()
	if !isPostgres(url) {
		return
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for left := -1; left != 0; {
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(
			&left,
		); err != nil {
			t.Fatal(err)
		}
	}
}

// rotateInAnotherProcess kills it after n acknowledged tokens and returns those of each family in
// order.
func rotateInAnotherProcess(t *testing.T, url string, n int) map[int][]string {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), rotateVariable+"="+url)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	held := map[int][]string{}
	count := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) != 3 || words[0] != "token" {
			continue
		}
		family, err := strconv.Atoi(words[1])
		if err != nil {
			t.Fatal(err)
		}
		held[family] = append(held[family], words[2])
		if count++; count == n {
			child.Process.Kill()
		}
	}
	child.Wait()
	if count < n {
		t.Fatalf("the child ended after %d of %d", count, n)
	}
	return held
}

// checkHeldTokens goes on with the last token of one family and returns 1 when the family was lost.
func checkHeldTokens(t *testing.T, s *session.Service, interval bool, tokens []string) (lost int) {
	t.Helper()
	last := tokens[len(tokens)-1]
	g, err := s.Find(t.Context(), last)
	if err != nil {
		t.Fatalf("an acknowledged family is lost: %v", err)
	}
	if ahead := g.Generation - int64(len(tokens)-1); ahead != 0 && ahead != 1 {
		t.Fatalf("generation %d after %d acknowledged rotations", g.Generation, len(tokens)-1)
	}
	answerLost := g.Generation == int64(len(tokens))
	next, err := use(t.Context(), s, last, "web", noon)
	if answerLost && !interval {
		refusedAs(t, err, session.Reused)
		return 1
	}
	if err != nil {
		t.Fatalf("an acknowledged token is not good: %v", err)
	}
	want := map[bool]session.Verdict{false: session.Advanced, true: session.Repeated}[answerLost]
	if next.Verdict != want {
		t.Errorf("going on was %s, want %s", next.Verdict, want)
	}
	if len(tokens) > 1 {
		_, err = use(t.Context(), s, tokens[len(tokens)-2], "web", noon)
		refusedAs(t, err, session.Reused)
		_, err = use(t.Context(), s, next.RefreshToken, "web", noon)
		refusedAs(t, err, session.Ended)
	}
	return 0
}

// BenchmarkRotateGrant is the rotation alone, each client with its own family; BenchmarkRefresh is
// all that a refresh asks of the store, with the MACs.
func BenchmarkRotateGrant(b *testing.B) {
	benchmarkSessions(b, func(s *Store, _ *session.Service, i session.Issued, now time.Time) (session.Issued, error) {
		r := session.Rotation{
			ID:          i.Grant.ID,
			Generation:  i.Grant.Generation,
			ClientID:    "web",
			AccessUntil: now.Add(15 * time.Minute),
		}
		done, err := s.RotateGrant(b.Context(), r, now)
		if done.Verdict != session.Advanced && err == nil {
			err = errors.New(string(done.Verdict))
		}
		return session.Issued{Grant: done.Grant}, err
	})
}

func BenchmarkRefresh(b *testing.B) {
	benchmarkSessions(b, func(_ *Store, s *session.Service, i session.Issued, now time.Time) (session.Issued, error) {
		return use(b.Context(), s, i.RefreshToken, "web", now)
	})
}

func benchmarkSessions(b *testing.B,
	next func(*Store, *session.Service, session.Issued, time.Time) (session.Issued, error)) {
	arms := []struct {
		name string
		open func(b *testing.B) *Store
	}{
		{"sqlite-alone", func(b *testing.B) *Store { return sqliteWithLimit(b, 1) }},
		{"sqlite", func(b *testing.B) *Store { return sqliteWithLimit(b, groupLimit) }},
		{"postgres", func(b *testing.B) *Store { return openAt(b, pgtest.Server(b).SocketURL(b)) }},
	}
	for _, clients := range []int{1, 16, 64} {
		for _, arm := range arms {
			b.Run(fmt.Sprintf("%s/clients=%d", arm.name, clients), func(b *testing.B) {
				s := arm.open(b)
				service := sessionsOn(s)
				held := make([]session.Issued, clients)
				for i := range held {
					held[i] = begun(b, service, requestFor("alice", 0))
				}
				measure(b, clients, func(client int) error {
					i, err := next(s, service, held[client], noon)
					held[client] = i
					return err
				})
			})
		}
	}
}

// measure lets each client repeat f, and reports the rate and the 99th percentile.
func measure(b *testing.B, clients int, f func(client int) error) {
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	b.ResetTimer()
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				start := time.Now()
				if err := f(client); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	all.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
