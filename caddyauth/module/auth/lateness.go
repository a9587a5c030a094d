package auth

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// lateAfter is the age of the deny list from which on the operator is warned: revocations of other
// nodes hold here within a second.
const lateAfter = time.Second

// lateness warns the operator when the deny list is older than a second, and tells when it is up to
// date again. One watch uses it. It outlives configurations, so it writes to the process's log.
type lateness struct {
	logger *zap.Logger // nil: the process's
	oldest time.Duration
}

// note is called after each poll with the age of the list and the error of the poll.
func (l *lateness) note(age time.Duration, err error) {
	logger := l.logger
	if logger == nil {
		logger = caddy.Log().Named("auth")
	}
	switch {
	case age >= lateAfter && l.oldest == 0:
		l.oldest = age
		logger.Warn("the list of revocations cannot be read: what other nodes revoke is not known here",
			zap.Duration("age", age), zap.Error(err))
	case age >= lateAfter:
		l.oldest = max(l.oldest, age)
	case err == nil && l.oldest > 0:
		logger.Info("the list of revocations is up to date again", zap.Duration("age", l.oldest))
		l.oldest = 0
	}
}
