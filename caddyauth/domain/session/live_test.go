package session

import (
	"errors"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

// TestLiveTellsWhatAUseWouldComeTo: and uses nothing, so that the token is as good as before.
func TestLiveTellsWhatAUseWouldComeTo(t *testing.T) {
	for _, c := range []struct {
		name   string
		client string
		after  time.Duration
		change func(t *testing.T, s *Service, i Issued, parent Issued)
		want   Verdict // "" for live
	}{
		{"at once", "web", 0, nil, ""},
		{"another client", "other", 0, nil, OtherClient},
		{"expired", "web", 24 * time.Hour, nil, Expired},
		{"ended", "web", 0, func(t *testing.T, s *Service, i, _ Issued) {
			if err := s.RevokeFamily(t.Context(), i.Grant.ID, "logout", noon); err != nil {
				t.Fatal(err)
			}
		}, Ended},
		{"used", "web", time.Second, useOf, ""}, // inside the reuse interval
		{"used up", "web", time.Minute, useOf, Reused},
		{"overtaken by a revocation", "web", 0, func(_ *testing.T, s *Service, i, _ Issued) {
			s.DenyList.Add(revocation.Denial{
				Kind:  revocation.UserKind,
				Scope: "default",
				ID:    "alice",
				Epoch: i.Epoch + 1,
				Until: noon.Add(time.Hour),
			})
		}, Ended},
		{"under a session that has ended", "web", 0, func(t *testing.T, s *Service, _, parent Issued) {
			m := s.Store.(*memory)
			g := m.grants[parent.Grant.ID]
			g.Revoked = noon // alone, as a revocation that has not come to its children yet
			m.grants[g.ID] = g
		}, Ended},
		{"under a session that is gone", "web", 0, func(_ *testing.T, s *Service, _, parent Issued) {
			delete(s.Store.(*memory).grants, parent.Grant.ID)
		}, Ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := newService(t)
			parent := begin(t, s, grantRequest())
			r := grantRequest()
			r.Parent = parent.Grant.ID
			i := begin(t, s, r)
			if c.change != nil {
				c.change(t, s, i, parent)
			}
			before, _ := s.Store.FindGrant(t.Context(), i.Grant.ID)
			g, err := s.Live(t.Context(), i.RefreshToken, c.client, noon.Add(c.after))
			refusal, _ := errors.AsType[*Refusal](err)
			switch {
			case c.want == "" && (err != nil || g.ID != i.Grant.ID):
				t.Errorf("%+v, %v", g, err)
			case c.want != "" && (refusal == nil || refusal.Verdict != c.want):
				t.Errorf("%v, want %s", err, c.want)
			}
			if after, _ := s.Store.FindGrant(t.Context(), i.Grant.ID); after.Generation != before.Generation ||
				after.Revoked != before.Revoked {
				t.Errorf("the grant was changed: %+v", after)
			}
		})
	}
}

// useOf uses the refresh token once.
func useOf(t *testing.T, s *Service, i, _ Issued) {
	if _, err := use(t.Context(), s, i.RefreshToken, "web", noon); err != nil {
		t.Fatal(err)
	}
}
