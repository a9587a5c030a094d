package sqlstore

import (
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// TestDenialsOutliveWhatTheyDeny: as long as some gate could admit a token that was revoked, by the
// largest leeway, on the node whose clock is the furthest behind, the denial stands in memory and
// in the store of the node whose clock is the furthest ahead. Each token is the longest that can be
// had, issued or renewed the moment before.
func TestDenialsOutliveWhatTheyDeny(t *testing.T) {
	ahead := noon.Add(leeway.Clocks) // the clock of the node that issues
	longest := ahead.Add(token.MaxLifetime)
	loose := revocation.Subject{ // of no session
		Issuer:   "https://iss",
		TokenID:  "jti",
		Project:  "default",
		Subject:  "alice",
		ClientID: "web",
	}
	for _, c := range []struct {
		name   string
		revoke func(t *testing.T, r revoking) (revocation.Subject, time.Time)
	}{
		{"a session that was just renewed", func(t *testing.T, r revoking) (revocation.Subject, time.Time) {
			first := begun(t, r.sessions, requestFor("alice", 0))
			renewed := refreshed(t, r.sessions, first.RefreshToken, ahead)
			must(t, r.sessions.RevokeFamily(t.Context(), first.Grant.ID, "logout", noon))
			return of(renewed), renewed.AccessUntil
		}},
		{"a session whose renewal was repeated", func(t *testing.T, r revoking) (revocation.Subject, time.Time) {
			first := begun(t, r.sessions, requestFor("alice", time.Minute))
			refreshed(t, r.sessions, first.RefreshToken, noon.Add(time.Second))
			repeated := refreshed(t, r.sessions, first.RefreshToken, noon.Add(30*time.Second))
			must(t, r.sessions.RevokeFamily(t.Context(), first.Grant.ID, "logout", noon))
			return of(repeated), repeated.AccessUntil
		}},
		{"a session that ended by reuse", func(t *testing.T, r revoking) (revocation.Subject, time.Time) {
			first := begun(t, r.sessions, requestFor("alice", 0))
			renewed := refreshed(t, r.sessions, first.RefreshToken, ahead)
			if _, err := use(t.Context(), r.sessions, first.RefreshToken, "web", noon.Add(time.Hour)); err == nil {
				t.Fatal("a used token was taken")
			}
			return of(renewed), renewed.AccessUntil
		}},
		{"a token", func(t *testing.T, r revoking) (revocation.Subject, time.Time) {
			must(t, r.sessions.RevokeToken(t.Context(), loose.Issuer, loose.TokenID, longest, noon))
			return loose, longest
		}},
		{"a user", func(t *testing.T, r revoking) (revocation.Subject, time.Time) {
			o := revocation.Revocation{Kind: revocation.UserKind, Project: "default", ID: "alice", Reason: "x"}
			_, err := r.sessions.RevokeAll(t.Context(), o, noon)
			must(t, err)
			return loose, longest
		}},
		{"a client", func(t *testing.T, r revoking) (revocation.Subject, time.Time) {
			o := revocation.Revocation{Kind: revocation.ClientKind, Project: "default", ID: "web", Reason: "x"}
			_, err := r.sessions.RevokeAll(t.Context(), o, noon)
			must(t, err)
			return loose, longest
		}},
		{"a project", func(t *testing.T, r revoking) (revocation.Subject, time.Time) {
			o := revocation.Revocation{Kind: revocation.ProjectKind, Project: "default", Reason: "x"}
			_, err := r.sessions.RevokeAll(t.Context(), o, noon)
			must(t, err)
			return loose, longest
		}},
		{"the claims of a user", func(t *testing.T, r revoking) (revocation.Subject, time.Time) {
			u := identity.User{ID: "u", Project: "default", Name: "alice", Created: noon}
			u.Claims = map[string]any{"role": "admin"}
			must(t, r.store.AddUser(t.Context(), u))
			u.Claims = map[string]any{"role": "viewer"}
			_, err := r.store.ChangeUser(t.Context(), u, noon)
			must(t, err)
			return loose, longest
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				s := open()
				defaults := project.Project{ID: "p", Slug: "default", Name: "Default", Active: true, Created: noon}
				must(t, s.AddProject(t.Context(), defaults))
				sessions := sessionsOn(s)
				bearer, expiry := c.revoke(t, revoking{s, sessions})
				admitted := expiry.Add(leeway.Max - time.Microsecond) // at a gate, by the clock that is behind
				checkDenied(t, s, bearer, admitted.Add(leeway.Clocks))
			})
		})
	}
}

// checkDenied lets the node whose clock is ahead forget what is over at now, in memory and in the
// store.
func checkDenied(t *testing.T, s *Store, bearer revocation.Subject, now time.Time) {
	t.Helper()
	list := readDenials(t, s)
	if list.Expire(now); list.Denied(bearer) == "" {
		t.Error("the list in memory has forgotten the denial while the token may be admitted")
	}
	_, err := s.DeleteOver(t.Context(), now, 100)
	must(t, err)
	if readDenials(t, s).Denied(bearer) == "" {
		t.Error("the store has forgotten the denial while the token may be admitted")
	}
	_, err = s.DeleteOver(t.Context(), now.Add(2*revocation.LongestAccess), 100)
	must(t, err)
	if readDenials(t, s).Denied(bearer) != "" {
		t.Error("the store never forgets")
	}
}

// readDenials is the list of a node that starts.
func readDenials(t *testing.T, s *Store) *revocation.DenyList {
	t.Helper()
	stored, _, err := s.Denials(t.Context(), 0)
	must(t, err)
	list := new(revocation.DenyList)
	list.Add(stored...)
	return list
}

// revoking is what a case revokes with.
type revoking struct {
	store    *Store
	sessions *session.Service
}

func refreshed(t *testing.T, sessions *session.Service, refresh string, now time.Time) session.Issued {
	t.Helper()
	presented, err := sessions.Present(t.Context(), refresh)
	must(t, err)
	issued, err := sessions.Use(t.Context(), presented, "web", now.Add(token.MaxLifetime), now)
	must(t, err)
	return issued
}

// of is the access token that was issued with a refresh token.
func of(i session.Issued) revocation.Subject {
	return revocation.Subject{
		Family:   i.Grant.ID,
		Project:  i.Grant.Project,
		Subject:  i.Grant.Subject,
		ClientID: i.Grant.ClientID,
		Epoch:    i.Epoch,
	}
}
