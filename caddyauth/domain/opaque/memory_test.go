package opaque

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const ownIssuer = "https://auth.example.com"

// memoryStore is a Store without a database.
type memoryStore struct {
	mu      sync.Mutex
	opaque  map[string]Reference
	denials revocation.DenyList
	fail    error
	writing error // of writes alone
	finds   int
}

func (m *memoryStore) AddOpaque(_ context.Context, r Reference) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail == nil && m.writing == nil {
		m.opaque[r.Hash] = r
	}
	return errors.Join(m.fail, m.writing)
}

func (m *memoryStore) FindOpaque(_ context.Context, hash string) (r Reference, denied bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return Reference{}, false, m.fail
	}
	m.finds++
	r, ok := m.opaque[hash]
	if !ok {
		return Reference{}, false, ErrNotFound
	}
	return r, m.denials.Denied(r.Subject) != "", nil
}

func (m *memoryStore) DeleteOpaque(context.Context, time.Time, int) (int, error) { return 0, nil }

func (m *memoryStore) asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.finds
}

func refusalReason(err error) token.Reason {
	if r, ok := errors.AsType[*token.Refusal](err); ok {
		return r.Reason
	}
	return ""
}
