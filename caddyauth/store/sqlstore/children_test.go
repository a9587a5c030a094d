package sqlstore

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// requestUnder is a request for a grant under a session.
func requestUnder(parent string) session.GrantRequest {
	r := requestFor("алиса", 0)
	r.ClientID, r.Kind, r.Parent = "rp", "code", parent
	return r
}

// What is granted under a session ends with it, whichever way the session ends.
func TestChildrenEndWithTheirParent(t *testing.T) {
	rows := []struct {
		name string
		end  func(t *testing.T, node *session.Service, parent session.Issued)
	}{
		{"sign-out", func(t *testing.T, node *session.Service, parent session.Issued) {
			must(t, node.RevokeFamily(t.Context(), parent.Grant.ID, "logout", noon))
		}},
		{"reuse", func(t *testing.T, node *session.Service, parent session.Issued) {
			for _, at := range []time.Duration{0, time.Minute, 2 * time.Minute} {
				_, _ = use(t.Context(), node, parent.RefreshToken, parent.Grant.ClientID, noon.Add(at))
			}
		}},
		{"user", func(t *testing.T, node *session.Service, parent session.Issued) {
			o := revocation.Revocation{Kind: revocation.UserKind, Project: "default", ID: "алиса", Reason: "disabled"}
			_, err := node.RevokeAll(t.Context(), o, noon)
			must(t, err)
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				node := sessionsOn(open())
				node.DenyList = new(revocation.DenyList)
				parent, other := begun(t, node, requestFor("алиса", 0)), begun(t, node, requestFor("bob", 0))
				child, stranger := begun(t, node, requestUnder(parent.Grant.ID)), begun(t, node,
					requestUnder(other.Grant.ID))
				row.end(t, node, parent)

				_, err := use(t.Context(), node, child.RefreshToken, "rp", noon)
				refusedAs(t, err, session.Ended)
				g, err := node.Store.FindGrant(t.Context(), child.Grant.ID)
				if err != nil || g.Revoked.IsZero() || g.RevokedFor == "" {
					t.Errorf("the child stands as %+v, %v", g, err)
				}
				if node.DenyList.Denied(subjectOf(child)) == "" {
					t.Error("this node still admits the child's access token")
				}
				checkAllDenied(t, node, []session.Issued{child})

				_, err = node.Begin(t.Context(), requestUnder(parent.Grant.ID), noon)
				refusedAs(t, err, session.NotAllowed)
				if row.name != "user" {
					if _, err := use(t.Context(), node, stranger.RefreshToken, "rp", noon); err != nil {
						t.Errorf("what was granted under another session: %v", err)
					}
				}
			})
		})
	}
}

func subjectOf(i session.Issued) revocation.Subject {
	return revocation.Subject{
		Family:   i.Grant.ID,
		Project:  i.Grant.Project,
		Subject:  i.Grant.Subject,
		ClientID: i.Grant.ClientID,
		Epoch:    i.Epoch,
	}
}

// A session that has run out takes along what was granted under it.
func TestChildrenDoNotOutliveTheirParentsTime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		node := sessionsOn(open())
		short := requestFor("алиса", 0)
		short.Idle, short.Absolute = time.Hour, 2*time.Hour
		long := requestUnder(begun(t, node, short).Grant.ID)
		long.Idle, long.Absolute = 24*time.Hour, 48*time.Hour
		child := begun(t, node, long)
		next, err := use(t.Context(), node, child.RefreshToken, "rp", noon.Add(59*time.Minute))
		must(t, err)
		_, err = use(t.Context(), node, next.RefreshToken, "rp", noon.Add(61*time.Minute))
		refusedAs(t, err, session.Ended)
		_, err = node.Begin(t.Context(), long, noon.Add(61*time.Minute))
		refusedAs(t, err, session.NotAllowed)
	})
}

// Grants that begin while the session ends: each is refused, or ended and denied.
func TestParentsEndWhileChildrenBegin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*session.Service{sessionsOn(open()), sessionsOn(open())}
		begunAtAll := 0
		for range 15 {
			parent := begun(t, nodes[0], requestFor("алиса", 0))
			var issued outcomes
			atOnce(12, func(i int) {
				node := nodes[i%2]
				if i == 6 {
					if err := node.RevokeFamily(t.Context(), parent.Grant.ID, "logout", noon); err != nil {
						t.Error(err)
					}
					return
				}
				got, err := node.Begin(t.Context(), requestUnder(parent.Grant.ID), noon)
				if r, ok := errors.AsType[*session.Refusal](err); ok && r.Verdict == session.NotAllowed {
					return
				}
				issued.add(t, got, err)
			})
			begunAtAll += len(issued.issued)
			for _, child := range issued.issued {
				g, err := nodes[0].Store.FindGrant(t.Context(), child.Grant.ID)
				if err != nil || g.Revoked.IsZero() {
					t.Errorf("a child outlived its parent: %+v, %v", g, err)
				}
			}
			denials, _, err := nodes[0].Store.Denials(t.Context(), 0)
			must(t, err)
			for _, child := range issued.issued {
				if !slices.ContainsFunc(denials, func(d revocation.Denial) bool {
					return d.Kind == revocation.FamilyKind && d.ID == child.Grant.ID
				}) {
					t.Errorf("the access token of %s is not denied", child.Grant.ID)
				}
			}
		}
		if begunAtAll == 0 {
			t.Error("no grant began before its session ended")
		}
	})
}
