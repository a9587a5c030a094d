package auth

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/serve/endsession"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

// ending is what clients need to sign people out.
type ending struct {
	store        *pooledStore
	verification *Verification
	issuing      *issuance.Service
}

// hint implements login.EndSession.
func (e ending) hint(ctx context.Context, raw string) (login.Hint, error) {
	t, err := e.verification.idTokens.Verify(ctx, raw)
	if err != nil {
		return login.Hint{}, err
	}
	if len(t.Audience) != 1 {
		return login.Hint{}, errors.New("the ID token is not for one client")
	}
	return login.Hint{ClientID: t.Audience[0], Subject: t.Subject, Session: t.Session}, nil
}

// client implements login.EndSession.
func (e ending) client(ctx context.Context, id string) (issuance.Parties, error) {
	return e.store.FindParties(ctx, project.Default, id, "")
}

// session implements login.EndSession.
func (e ending) session(ctx context.Context, access, refresh string) (subject, id string, err error) {
	g, err := e.issuing.CurrentSession(ctx, access, refresh, time.Now())
	return g.Subject, g.ID, err
}

// notices sends clients the notices of sign-ins that have ended.
type notices struct {
	sender  *endsession.Sender
	ctx     context.Context // the configuration's
	started <-chan struct{} // closed once the configuration is in charge
}

// run sends while the configuration is in charge.
func (n notices) run() {
	select {
	case <-n.started:
		n.sender.Run(n.ctx)
	case <-n.ctx.Done():
	}
}

// logNotices logs what keeps notices from being sent; nil when nothing does any more.
func logNotices(logger *zap.Logger) func(error) {
	return func(err error) {
		if err != nil {
			logger.Warn("logout notices cannot be read from the store; they are sent once it is back", zap.Error(err))
			return
		}
		logger.Info("logout notices are sent again")
	}
}
