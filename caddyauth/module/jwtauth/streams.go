package jwtauth

import (
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/stream"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

const maxStreamGrace = time.Hour

// parseStreamGrace returns the grace of a gate's streams, and false when they are not ended.
func parseStreamGrace(text string) (grace time.Duration, ends bool, err error) {
	switch text {
	case "":
		return 0, true, nil
	case option.Off:
		return 0, false, nil
	}
	if grace, err = project.ParseDuration(text); err != nil {
		return 0, false, fmt.Errorf("stream_grace: %q is neither a duration such as 30s nor off", text)
	}
	if grace < 0 || grace > maxStreamGrace {
		return 0, false, fmt.Errorf("stream_grace: %s is not between 0s and %s", project.FormatDuration(grace),
			project.FormatDuration(maxStreamGrace))
	}
	return grace, true, nil
}

// streamPolicy returns what the streams of the gate are held to; nil when they are not ended.
func (j *JWTAuth) streamPolicy() *stream.Policy {
	grace, ends, _ := parseStreamGrace(j.StreamGrace) // checked
	if !ends || j.reports() {
		return nil
	}
	policy := j.gates.Streams
	policy.Leeway, policy.Grace, policy.Ended = j.gate.Leeway, grace, j.logStreamEnd
	return &policy
}

func (j *JWTAuth) logStreamEnd(why token.Reason, t *token.Token) {
	j.gates.Log.Info("a stream was ended",
		zap.String("reason", string(why)),
		zap.String("gate", j.label()),
		zap.String("user_id", t.Subject),
		zap.String("session", t.Session))
}

// serveNext lets an admitted request through, and sees to it that an answer which goes on ends with
// the credential.
func (j *JWTAuth) serveNext(w http.ResponseWriter, r *http.Request, admission *gate.Admission,
	next caddyhttp.Handler) error {
	if j.streams == nil || admission == nil || admission.Token == nil {
		return next.ServeHTTP(w, r)
	}
	watched, r := browser.Watch(w, r, j.streams, admission)
	defer watched.Unwatch()
	return next.ServeHTTP(watched, r)
}
