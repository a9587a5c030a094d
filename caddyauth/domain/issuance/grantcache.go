package issuance

import (
	"context"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// GrantCache remembers the grants whose refresh tokens were used here, and whom they are for, so
// that the next use reads nothing: the statement that stores the use also compares what is
// remembered with what stands. Nothing is decided by what is remembered. Where anything is
// different, or anything would be refused, everything is read as if nothing were remembered.
type GrantCache struct {
	// Store decides. Required.
	Store KnownUseStore

	mu         sync.Mutex
	young, old map[string]cachedGrant
}

// KnownUseStore is what a GrantCache needs of a store.
type KnownUseStore interface {
	// UseKnown uses the current refresh token of a grant as RotateGrant does. It reports false, and has
	// used nothing up, if the use would be refused, or if grant, project, client or user have changed
	// since they were read.
	UseKnown(ctx context.Context, r KnownUse, now time.Time) (bool, error)
}

// KnownUse is the use of the current refresh token of a grant that was read before.
type KnownUse struct {
	// Grant is the grant as it was read.
	Grant session.Grant

	// AccessUntil is when the access token made after this use expires.
	AccessUntil time.Time

	// Parties are those whom the grant is for, as they were read.
	Parties *Parties
}

// cachedGrant is a grant as it was left by the last use, and whom it is for. The parties are
// shared.
type cachedGrant struct {
	grant   session.Grant
	parties *Parties
}

// maxCachedGrants is the size of each of the two generations, so up to twice as many grants are
// remembered. Each takes about 3 KiB as a rule, with its parties, and maxCachedBytes at most.
const maxCachedGrants = 2000

// find returns what is remembered of a family.
func (m *GrantCache) find(family string) (cachedGrant, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.young[family]; ok {
		return r, true
	}
	r, ok := m.old[family]
	return r, ok
}

// keep remembers a grant. When the young generation is full it becomes the old one, whose grants are
// forgotten unless they were used again.
func (m *GrantCache) keep(r cachedGrant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.young == nil || len(m.young) >= maxCachedGrants {
		m.young, m.old = make(map[string]cachedGrant), m.young
	}
	m.young[r.grant.ID] = r
}

func (m *GrantCache) forget(family string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.young, family)
	delete(m.old, family)
}

// remember keeps a grant whose refresh token was used, with the parties that were read for it, unless
// it is large.
func (s *Service) remember(g session.Grant, p Parties) {
	if s.GrantCache == nil || p.User == nil || p.Project.ID == "" || p.Client.ID == "" {
		return
	}
	if r := (cachedGrant{grant: g, parties: &p}); r.size() <= maxCachedBytes {
		s.GrantCache.keep(r)
	}
}

// useKnown is Refresh with a remembered grant. It reports false, and has used nothing up, where Refresh
// has to read the grant: it is not remembered, has changed, or would be refused.
func (s *Service) useKnown(ctx context.Context, r Refresh, now time.Time) (Issued, bool, error) {
	known, p, ok := s.recall(r.Token)
	if !ok {
		return Issued{}, false, nil
	}

	// A refusal is decided by what is stored, not by what is remembered.
	r.identify(p.Grant)
	audience, wrong := r.narrow(p.Grant)
	likely := p.Likely(r.ClientID, now)
	if r.judge(p.Grant) != nil || wrong != nil || likely != session.Advanced && likely != session.Kept {
		return Issued{}, false, nil
	}
	terms, err := s.termsOf(*known.parties, p.Grant)
	if err != nil {
		return Issued{}, false, nil
	}
	want := r.access(p.Grant, p.Grant.Epoch, now, now.Add(terms.Access))
	want.audience = audience
	if !known.parties.restrict(&want) || s.denies(want) {
		return Issued{}, false, nil
	}

	// The access token is made before the use: if it cannot be made, the refresh token stays valid.
	raw, err := s.mint(ctx, want, terms)
	if err != nil {
		return Issued{}, true, err
	}

	// The store compares everything that was remembered with what it has now.
	use := KnownUse{Grant: p.Grant, AccessUntil: want.until, Parties: known.parties}
	done, err := s.GrantCache.Store.UseKnown(ctx, use, now)
	if err != nil || !done {
		s.GrantCache.forget(p.Grant.ID)
		return Issued{}, err != nil, err
	}

	used := s.Sessions.Renewed(p, want.until, now)
	s.GrantCache.keep(cachedGrant{grant: used.Grant, parties: known.parties})
	issued, err := s.answerUse(ctx, raw, want, used, r)
	if err == nil && issued.AccessToken == raw {
		issued.parties = known.parties
	}
	return issued, true, err
}

// recall returns what is remembered of the grant of a refresh token that this server made.
func (s *Service) recall(raw string) (known cachedGrant, p session.Presented, ok bool) {
	if s.GrantCache == nil {
		return known, p, false
	}
	p, ok = s.Sessions.Recall(raw, func(family string) (session.Grant, bool) {
		var found bool
		known, found = s.GrantCache.find(family)
		return known.grant, found
	})
	return known, p, ok
}

// StoredClient is the id of the client of the parties if it stands in a store.
func (p *Parties) StoredClient() string {
	if clients.IsBuiltIn(p.Client.ID) {
		return ""
	}
	return p.Client.ID
}
