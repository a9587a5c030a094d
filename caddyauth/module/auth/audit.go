package auth

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/request"
)

// auditor writes one line per sign-in and per refused request, at INFO. Nothing a client sent
// unverified is in it but the method, the host and the path; never a query, which may hold a
// secret.
type auditor struct {
	all     *zap.Logger
	sampled *zap.Logger // for requests without a credential: a crawler must not fill the disk
	trail   audit.Store
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
