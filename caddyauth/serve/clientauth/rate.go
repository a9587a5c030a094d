package clientauth

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// Rate bounds what is stored for clients that anybody can be: public ones, and those that came by
// themselves, whose secret proves only that they came. Otherwise one caller could fill the disk. It
// counts a request from an address, and returns how long to wait when there were too many.
type Rate func(ctx context.Context, clientIP string, now time.Time) (wait time.Duration, err error)

// Take counts a request that is about to be stored. Clients that the operator gave a secret or a key
// are not counted. The error is a *Problem.
func (rate Rate) Take(ctx context.Context, c clients.Client, clientIP string, now time.Time) error {
	if !c.Public() && !c.SelfRegistered() {
		return nil
	}
	wait, err := rate(ctx, clientIP, now)
	switch {
	case err != nil:
		return Unavailable(err)
	case wait > 0:
		return &Problem{ // RFC 9126, section 2.3
			Status: http.StatusTooManyRequests,
			Code:   TooManyRequests,
			Text:   "There were too many requests of clients that anybody can be. Please wait and try again.",
			Wait:   wait,
		}
	}
	return nil
}
