package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

// auditor writes one line per sign-in and per refused request, at INFO. Nothing a client sent
// unverified is in it but the method, the host and the path; never a query, which may hold a
// secret.
type auditor struct {
	all     *zap.Logger
	sampled *zap.Logger // for requests without a credential: a crawler must not fill the disk
}

func newAuditor(logger *zap.Logger) *auditor {
	return &auditor{all: logger, sampled: logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 5, 1000)
	}))}
}

// refused counts and logs a refusal.
func (j *JWTAuth) refused(r *http.Request, admission *gate.Admission, err error) {
	reason := gate.ReasonOf(err)
	j.count.refused(reason)
	logger := j.app.audit.all
	if reason == gate.NoCredential {
		logger = j.app.audit.sampled
	}
	c := logger.Check(zap.InfoLevel, "request refused")
	if c == nil {
		return
	}
	fields := []zap.Field{
		zap.String("reason", string(reason)), zap.String("detail", detailOf(err)), zap.String("gate", j.label()),
		zap.Int("status", gate.Status(reason)), zap.String("client_ip", request.ClientIP(r)),
		zap.String("method", r.Method), zap.String("host", r.Host), zap.String("path", r.URL.Path),
	}
	if admission != nil && admission.Token != nil {
		fields = append(fields, zap.String("user_id", admission.Token.Subject))
	}
	if j.reports() {
		fields = append(fields, zap.Bool("report_only", true))
	}
	c.Write(fields...)
}

// detailOf returns what a refusal says beside its reason.
func detailOf(err error) string {
	if refusal, ok := errors.AsType[*token.Refusal](err); ok {
		return refusal.Detail
	}
	return err.Error()
}

// observe counts and logs a sign-in or sign-out.
func (a *App) observe(ctx context.Context, e login.Event) {
	a.record(ctx, e)
	loginsTotal.WithLabelValues(e.Kind, e.Result).Inc()
	fields := []zap.Field{zap.String("kind", e.Kind), zap.String("result", e.Result), zap.String("user_id", e.Account),
		zap.String("project", e.Project), zap.String("audience", e.Audience), zap.String("client_ip", e.ClientIP)}
	message := "sign-in"
	if e.Kind == login.KindLogout {
		message = "sign-out"
	}
	if e.Err != nil {
		a.audit.all.Error(message+" failed", append(fields, zap.Error(e.Err))...)
		return
	}
	a.audit.all.Info(message, fields...)
}

// recordTimeout bounds how long a sign-in waits for its line in the audit trail.
const recordTimeout = 500 * time.Millisecond

// recorded are the outcomes that the audit trail tells of, besides a sign-in that succeeded: its
// line is stored with the session. What was turned away before the password was looked at, and a
// sign-out of nobody, are counted and logged alone: whoever floods the pages must not fill the
// database.
var recorded = map[string][]string{
	login.KindLogin:    {"bad_credentials"},
	login.KindAPILogin: {"bad_credentials"},
	login.KindLogout:   {"success"},
}

// record adds a sign-in or sign-out to the audit trail. A line that cannot be written in time is
// missing there, and is in the log.
func (a *App) record(ctx context.Context, e login.Event) {
	if !slices.Contains(recorded[e.Kind], e.Result) || e.Kind == login.KindLogout && e.Account == "" {
		return
	}
	actor := "unknown"
	if e.Account != "" {
		actor = "user:" + e.Account
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	err := a.store.AddEntry(ctx, audit.Entry{
		At:         time.Now(),
		Actor:      actor,
		Action:     e.Kind,
		TargetName: e.Account,
		Project:    e.Project,
		ClientIP:   e.ClientIP,
		Result:     e.Result,
		Detail:     e.Audience,
	})
	if err != nil {
		a.logger.Warn("a line of the audit trail could not be written", zap.String("kind", e.Kind), zap.Error(err))
	}
}
