package opaque

import (
	"context"
	"errors"
	"sync"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const ownIssuer = "https://auth.example.com"

// memoryStore knows what is denied, without a database.
type memoryStore struct {
	mu      sync.Mutex
	denials revocation.DenyList
	fail    error
	asks    int
}

func (m *memoryStore) isDenied(_ context.Context, s revocation.Subject) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return false, m.fail
	}
	m.asks++
	return m.denials.Denied(s) != "", nil
}

func (m *memoryStore) asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asks
}

func refusalReason(err error) token.Reason {
	if r, ok := errors.AsType[*token.Refusal](err); ok {
		return r.Reason
	}
	return ""
}
