package auth

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
)

// sweep removes expired tokens from the cache, and expired rows from the store in small batches,
// until the configuration ends.
func (a *App) sweep() {
	ticker, minute := time.NewTicker(10*time.Minute), time.NewTicker(time.Minute)
	defer ticker.Stop()
	defer minute.Stop()
	for {
		select {
		case now := <-minute.C:
			a.verification.expire(now)
		case now := <-ticker.C:
			if err := a.tidy(now); err != nil && a.ctx.Err() == nil {
				a.logger.Warn("deleting expired rows", zap.Error(err))
			}
		case <-a.ctx.Done():
			return
		}
	}
}

// tidy deletes what has surely expired at now, and stores that time for later processes.
func (a *App) tidy(now time.Time) error {
	past, err := a.past(a.ctx, now)
	if err != nil {
		return err
	}
	if err := a.deleteOver(past); err != nil {
		return err
	}
	return a.store.KeepTime(a.ctx, past)
}

// past returns the earliest of all clocks: this node's wall clock, its monotonic clock, and that of
// the database server.
func (a *App) past(ctx context.Context, now time.Time) (time.Time, error) {
	past, jump := a.store.steady.Past(now), a.store.steady.Jump(now)
	if jump != 0 {
		a.logger.Info("the clock is far from the time that this server last knew: it jumped, or "+
			"the server did not run; what is over by that time alone is deleted until the clock has gone on for "+
			"a day",
			zap.Duration("difference", jump))
	}
	_, server, err := a.store.KeptTime(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the time: %w", err)
	}
	if server.IsZero() {
		return past, nil
	}
	if off := now.Sub(server); off.Abs() > clocksDiffer {
		a.logger.Warn("the clocks of this node and of the database differ", zap.Duration("difference", off))
	}
	if server.Before(past) {
		past = server
	}
	return past, nil
}

// clocksDiffer is how far clocks may be apart without a word in the log: what is forgotten stands
// that much longer (revocation.Margin).
const clocksDiffer = leeway.Clocks

// deleteOver deletes until there is nothing left that was over at past.
func (a *App) deleteOver(past time.Time) error {
	const batch = 500
	verbs := []func(context.Context, time.Time, int) (int, error){
		a.store.DeleteIdleAttempts, a.store.DeleteOver, a.deleteEntries, a.deleteAPITokens, a.deleteOpaque,
		a.deleteUses,
		a.deleteCodes,
		a.deletePushed,
	}
	for _, verb := range verbs {
		for n := batch; n == batch; {
			var err error
			if n, err = verb(a.ctx, past, batch); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteOpaque keeps what has ended for as long as a gate may still tell that it has expired.
func (a *App) deleteOpaque(ctx context.Context, past time.Time, n int) (int, error) {
	return a.store.DeleteOpaque(ctx, past.Add(-revocation.Margin), n)
}

// deleteUses keeps what was used for as long as clocks may differ: a node whose clock is behind still
// takes what carries the id.
func (a *App) deleteUses(ctx context.Context, past time.Time, n int) (int, error) {
	return a.store.DeleteUses(ctx, past.Add(-revocation.Margin), n)
}

// deleteCodes and deletePushed keep what is of no use any more for as long as clocks may differ.
func (a *App) deleteCodes(ctx context.Context, past time.Time, n int) (int, error) {
	return a.store.DeleteCodes(ctx, past.Add(-revocation.Margin), n)
}

func (a *App) deletePushed(ctx context.Context, past time.Time, n int) (int, error) {
	return a.store.DeletePushed(ctx, past.Add(-revocation.Margin), n)
}

// deleteEntries and deleteAPITokens delete what has been over for as long as the audit trail is
// kept: it tells of a token by its id.
func (a *App) deleteEntries(ctx context.Context, past time.Time, n int) (int, error) {
	return a.store.DeleteEntries(ctx, past.Add(-a.server.AuditRetention), n)
}

func (a *App) deleteAPITokens(ctx context.Context, past time.Time, n int) (int, error) {
	return a.store.DeleteAPITokens(ctx, past.Add(-a.server.AuditRetention), n)
}
