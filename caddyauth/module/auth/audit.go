package auth

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/module/request"
)

// auditor writes one line per sign-in and per refused request, at INFO, and samples those that anybody
// can cause. Nothing a client sent unverified is in it but the method, the host and the path; never a
// query, which may hold a secret.
type auditor struct {
	all     *zap.Logger
	sampled *zap.Logger // for anonymous requests: a crawler must not fill the disk
	trail   audit.Store
}

func newAuditor(logger *zap.Logger) *auditor {
	return &auditor{all: logger, sampled: logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 5, 1000)
	}))}
}

// Why people are sent back.
const (
	refusedByGate = "the gate there does not see or does not accept the session; its line `request refused` says why"
	sentByPage    = "the session is good there, and a page of the application sends people to sign in: " +
		"perhaps it misses something that the gate does not forward"
)

// sentBack tells the operator of people who are signed in and sent to sign in again. host is where
// from.
func (l *auditor) sentBack(r *http.Request, subject, host, detail string) {
	l.sampled.Warn("a person who is signed in was sent to sign in again",
		zap.String("user_id", subject), zap.String("host", host), zap.String("detail", detail),
		zap.String("client_ip", request.ClientIP(r)))
}

// alert tells the operator of refresh tokens that should not exist.
func (l *auditor) alert(_ context.Context, verdict session.Verdict, g session.Grant) {
	text := "a used refresh token was presented again: the session was ended, its token may have been stolen"
	if verdict == session.Future {
		text = "a refresh token from the future was presented: the database has lost commits"
	}
	refreshAlerts.WithLabelValues(string(verdict)).Inc()
	l.all.Warn(text,
		zap.String("session", g.ID), zap.String("user_id", g.Subject),
		zap.String("project", g.Project), zap.String("client_id", g.ClientID))
}
