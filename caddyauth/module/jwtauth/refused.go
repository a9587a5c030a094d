package jwtauth

import (
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/request"
)

// refused counts and logs a refusal.
func (j *JWTAuth) refused(r *http.Request, admission *gate.Admission, err error) {
	reason := gate.ReasonOf(err)
	j.count.Refused(reason)
	logger := j.gates.Log
	if reason == gate.NoCredential {
		logger = j.gates.Sampled
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
