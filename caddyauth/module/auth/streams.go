package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/stream"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
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
	return &stream.Policy{
		Watcher:   &j.app.store.streams,
		Session:   gate.Source{Kind: gate.Cookie, Name: j.app.cookieNames().Access},
		Leeway:    j.gate.Leeway,
		Grace:     grace,
		Staleness: j.app.verification.staleness,
		Ended:     j.logStreamEnd,
	}
}

func (j *JWTAuth) logStreamEnd(why token.Reason, t *token.Token) {
	j.app.logger.Info("a stream was ended",
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

// streamKeys are the keys of a configuration to which streams are held.
type streamKeys struct{ app *App }

// Version implements stream.Keys.
func (k streamKeys) Version() stream.KeysVersion {
	version := stream.KeysVersion{Ring: k.app.keys.ring.Load()}
	for _, remote := range k.app.keys.remotes {
		if fetched := remote.Fetched(); fetched.After(version.Fetched) {
			version.Fetched = fetched
		}
	}
	return version
}

// Check implements stream.Keys.
func (k streamKeys) Check(t *token.Token) (ends time.Time, refusal token.Reason) {
	if t.Issuer() != k.app.server.Issuer {
		return time.Time{}, k.checkForeign(t)
	}
	ring := k.app.keys.ring.Load()
	if ring == nil { // the store was not reached yet
		return time.Time{}, ""
	}
	if !t.Key.Equal(ring.Key(t.Key.ID())) {
		return time.Time{}, token.UnknownKey
	}
	if k.app.keys.keeper == nil {
		return time.Time{}, ""
	}
	return k.app.keys.keeper.Retires(t.Key.ID()), ""
}

func (k streamKeys) checkForeign(t *token.Token) token.Reason {
	at := slices.IndexFunc(k.app.keys.remotes, func(r *pooledRemote) bool { return r.Issuer == t.Issuer() })
	if at < 0 {
		return token.UnknownIssuer
	}
	remote := k.app.keys.remotes[at]
	if !remote.Available() {
		return ""
	}
	key, err := remote.Key(context.Background(), t.Key.ID()) // does not wait, because there is a set
	if errors.Is(err, keyring.ErrUnknownKey) || err == nil && !t.Key.Equal(key) {
		return token.UnknownKey
	}
	return ""
}
