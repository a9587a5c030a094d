package revocation

import (
	"context"
	"slices"
	"sync"
	"time"
)

// memory is a log of denials without a database.
type memory struct {
	mu      sync.Mutex
	denials []Denial
	fail    error // what every method returns, when set
}

func (m *memory) RevokeToken(_ context.Context, issuer, id string, until, _ time.Time) (Denial, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := Denial{Kind: TokenKind, Scope: issuer, ID: id, Until: until.Add(Margin)}
	if m.fail == nil {
		m.denials = append(m.denials, d)
	}
	return d, m.fail
}

func (m *memory) Denials(_ context.Context, after Cursor) ([]Denial, Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return nil, 0, m.fail
	}
	return slices.Clone(m.denials[after:]), Cursor(len(m.denials)), nil
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
