package auth

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// lateAfter is how old the list of revocations may be without a word: what another node revokes holds here within a second.
const lateAfter = time.Second

// lateness tells the operator when the list of revocations is older than a second, and when it no longer is. One watch uses it. It outlives
// configurations, so it goes to the process's log.
type lateness struct {
	logger *zap.Logger // nil: the process's
	oldest time.Duration
}

// note is told how old the list is after each look, and what the look met.
func (l *lateness) note(age time.Duration, err error) {
	logger := l.logger
	if logger == nil {
		logger = caddy.Log().Named("auth")
	}
	switch {
	case age >= lateAfter && l.oldest == 0:
		l.oldest = age
		logger.Warn("the list of revocations cannot be read: what other nodes revoke is not known here", zap.Duration("age", age), zap.Error(err))
	case age >= lateAfter:
		l.oldest = max(l.oldest, age)
	case err == nil && l.oldest > 0:
		logger.Info("the list of revocations is up to date again", zap.Duration("age", l.oldest))
		l.oldest = 0
	}
}
