package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// lookups bound how many questions of one kind the store is asked at once, so that whoever makes
// credentials up, which anybody can do as often as he likes, leaves the store to others.
type lookups chan struct{}

// lookupPatience is how long a question waits for its place.
const lookupPatience = time.Second

var errTooManyLookups = fmt.Errorf("%w: too many credentials are being looked up", sqlstore.ErrUnavailable)

// newLookups are half of what the store does at once.
func newLookups(store *sqlstore.Store) lookups { return make(lookups, max(1, store.Connections()/2)) }

// enter waits for a place; leave gives it back.
func (p lookups) enter(ctx context.Context) (leave func(), err error) {
	select {
	case p <- struct{}{}:
		return p.leave, nil
	default:
	}
	late := time.NewTimer(lookupPatience)
	defer late.Stop()
	select {
	case p <- struct{}{}:
		return p.leave, nil
	case <-late.C:
		return nil, errTooManyLookups
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p lookups) leave() { <-p }

// isDenied asks whether an opaque token is denied, within bounds: its holder decides how often.
func (s *pooledStore) isDenied(ctx context.Context, b revocation.Subject) (bool, error) {
	leave, err := s.opaque.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	return s.IsDenied(ctx, b)
}

// UseAPIToken implements apitoken.Store, within bounds.
func (s *pooledStore) UseAPIToken(ctx context.Context, hash string, now time.Time) (apitoken.Token, error) {
	leave, err := s.unknown.enter(ctx)
	if err != nil {
		return apitoken.Token{}, err
	}
	defer leave()
	return s.Store.UseAPIToken(ctx, hash, now)
}
