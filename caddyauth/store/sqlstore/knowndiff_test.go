package sqlstore

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// world is two nodes on one store, and the refresh tokens of each session, oldest first.
type world struct {
	*tenants
	nodes  []*issuing
	ids    []string
	tokens [][]string
}

// turn is what happens in two worlds: the same, by numbers that were drawn once.
type turn struct {
	number, family, a, b int
	now                  time.Time
}

// TestMemoryChangesNoAnswer: two nodes that remember grants say and leave, whatever happens between
// the uses, what two say that remember nothing.
func TestMemoryChangesNoAnswer(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				path := filepath.Join(t.TempDir(), "auth.db")
				with, without := newWorld(t, open), newWorld(t, func() *Store { return openAt(t, path) })
				for _, n := range without.nodes {
					n.GrantCache = nil
				}
				compare(t, with, without, rand.New(rand.NewPCG(seed, 1)))
			})
		})
	}
}

func newWorld(t *testing.T, open func() *Store) *world {
	nodes := issuingNodes(t, open)
	return &world{tenants: nodes[0].tenants, nodes: nodes}
}

// compare lets the same happen in both worlds.
func compare(t *testing.T, with, without *world, random *rand.Rand) {
	now, uses := noon, 0
	steps := []time.Duration{0, 0, 0, 0, time.Millisecond, time.Second, 4 * time.Second, time.Minute, 20 * time.Minute}
	for i := range 300 {
		now = now.Add(steps[random.IntN(len(steps))])
		at := turn{i, random.IntN(max(1, len(with.ids))), random.IntN(12), random.IntN(4), now}
		event := events[0]
		if which := random.IntN(60); i > 2 && which < len(events) {
			event = events[which]
		} else if i > 2 {
			event = events[1]
		}
		got, want := event.happens(t, with, at), event.happens(t, without, at)
		if got != want {
			t.Fatalf("%d, %s, %+v:\n%s\nwithout a memory\n%s", i, event.name, at, got, want)
		}
		if event.name == "refresh" && strings.Contains(got, "epoch") {
			uses++
		}
	}
	t.Log(uses, "uses")
}

// events begin with the two that most turns are.
var events = []struct {
	name    string
	happens func(t *testing.T, w *world, at turn) string
}{
	{"sign-in", beginOne},
	{"refresh", useOne},
	{"user", alterUser},
	{"password", func(t *testing.T, w *world, at turn) string {
		u, err := w.FindUser(t.Context(), "acme", "alice")
		must(t, err)
		_, err = w.SetPassword(t.Context(), u.ID, 0, fmt.Sprint("hash ", at.a), at.now)
		return fmt.Sprint(err)
	}},
	{"client", alterClient},
	{"project", alterProject},
	{"sign-out", func(t *testing.T, w *world, at turn) string {
		_, err := w.RevokeGrant(t.Context(), w.ids[at.family], "test", at.now)
		return fmt.Sprint(err)
	}},
	{"revocation", func(t *testing.T, w *world, at turn) string {
		r := []revocation.Revocation{
			{Kind: revocation.UserKind, Project: "acme", ID: "Alice"},
			{Kind: revocation.ClientKind, Project: "acme", ID: "reports"},
			{Kind: revocation.ProjectKind, Project: "acme"},
		}[at.a%3]
		_, err := w.nodes[at.b%2].Sessions.RevokeAll(t.Context(), r, at.now)
		return fmt.Sprint(err)
	}},
	{"another user of that name", func(t *testing.T, w *world, at turn) string {
		u, err := w.FindUser(t.Context(), "acme", "alice")
		must(t, err)
		must(t, w.RemoveUser(t.Context(), u.ID, 0))
		added := w.user
		added.ID, added.Created = fmt.Sprint("user ", at.number), at.now
		return fmt.Sprint(w.AddUser(t.Context(), added))
	}},
}

// beginOne begins a session, half of them under the one before.
func beginOne(t *testing.T, w *world, at turn) string {
	r := requestFor("Alice", time.Duration(at.a%2)*10*time.Second)
	r.Project, r.ClientID, r.Scopes, r.Fixed = "acme", "reports", []string{"read", "write"}, at.a%3 == 0
	r.Audience, r.Idle, r.Absolute = []string{"web", "https://a.example"}, 2*time.Hour, 5*time.Hour
	if len(w.ids) > 0 && at.b%2 == 0 {
		r.Parent = w.ids[len(w.ids)-1]
	}
	i, err := w.nodes[at.b%2].Sessions.Begin(t.Context(), r, at.now)
	if err != nil {
		return err.Error()
	}
	w.ids, w.tokens = append(w.ids, i.Grant.ID), append(w.tokens, []string{i.RefreshToken})
	return ""
}

// useOne uses the last token of a session, seldom an older one or in a way that is refused.
func useOne(t *testing.T, w *world, at turn) string {
	list := w.tokens[at.family]
	r := issuance.Refresh{Token: list[len(list)-1], ClientID: "reports", Now: at.now}
	switch at.a {
	case 1:
		r.Scopes = []string{[]string{"read", "write", "admin", "read"}[at.b]}
	case 2:
		r.Resources = []string{[]string{"https://a.example", "https://b.example"}[at.b%2]}
	case 3:
		r.JKT, r.X5T, r.Browser = "key", "certificate", at.b == 0
	case 4:
		r.Token = list[max(0, len(list)-2)]
	case 5:
		r.Token = list[max(0, len(list)-1-at.b)]
	case 6:
		r.ClientID = []string{"orders", "reports"}[at.b%2]
	case 7:
		r.Now = at.now.Add(time.Duration(at.b) * 59 * time.Minute)
	}
	got, err := w.nodes[at.b%2].Refresh(t.Context(), r)
	if err == nil && got.RefreshToken != list[len(list)-1] {
		w.tokens[at.family] = append(list, got.RefreshToken)
	}
	return saidOf(t, got, err) + w.stands(t, at.family)
}

// saidOf is an answer to a refresh, without what is random.
func saidOf(t *testing.T, got issuance.Issued, err error) string {
	t.Helper()
	if r, refused := errors.AsType[*session.Refusal](err); refused {
		return "refused: " + string(r.Verdict)
	}
	if err != nil {
		return err.Error()
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(got.AccessToken, ".")[1])
	must(t, err)
	var claims map[string]any
	must(t, json.Unmarshal(text, &claims))
	delete(claims, "jti")
	delete(claims, "sid")
	next, _ := session.ReadToken(got.RefreshToken)
	return fmt.Sprint(got.Verdict, claims, got.AccessUntil, got.Scopes, next.Generation)
}

// stands is a session as it stands, without what is random.
func (w *world) stands(t *testing.T, family int) string {
	g, err := w.FindGrant(t.Context(), w.ids[family])
	g.ID, g.Seed, g.Parent = "", nil, ""
	return fmt.Sprintf("%+v, %v", g, err)
}

func alterUser(t *testing.T, w *world, at turn) string {
	u, err := w.FindUser(t.Context(), "acme", "alice")
	must(t, err)
	changed := *u
	changed.Disabled = at.a%3 == 0
	if at.b == 3 { // which raises the epochs of the grants, too
		changed.Claims = map[string]any{"role": fmt.Sprint(at.a)}
	}
	_, err = w.ChangeUser(t.Context(), changed, at.now)
	return fmt.Sprint(err)
}

func alterClient(t *testing.T, w *world, at turn) string {
	c, err := w.FindClient(t.Context(), "reports")
	must(t, err)
	c.Active = at.a > 0
	c.Scopes = [][]string{{"read"}, {"read", "write"}, {"write"}, {"read", "write"}}[at.b]
	c.Resources = [][]string{nil, {"https://a.example"}}[at.a%2]
	c.Override.Access = time.Duration(at.a+1) * time.Minute
	_, err = w.ChangeClient(t.Context(), c, at.now)
	return fmt.Sprint(err)
}

func alterProject(t *testing.T, w *world, at turn) string {
	p, err := w.FindProject(t.Context(), "acme")
	must(t, err)
	p.Active = at.a > 0
	p.Audiences = [][]string{nil, {"web"}, {"api"}, nil}[at.b]
	p.Override.Access = time.Duration(at.a+1) * time.Minute
	_, err = w.ChangeProject(t.Context(), p, at.now)
	return fmt.Sprint(err)
}
