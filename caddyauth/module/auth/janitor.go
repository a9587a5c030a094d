package auth

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
	"github.com/caddyauth/gateway/caddyauth/module/config"
)

// janitor removes what is over: from memory, and from the store.
type janitor struct {
	ctx          context.Context // the configuration's
	store        *pooledStore
	verification *Verification
	retention    time.Duration              // of the audit trail
	forget       map[string]config.Arrivals // says when unused clients go, by their source
	logger       *zap.Logger
}

// sweep removes expired tokens from the cache, and expired rows from the store in small batches,
// until the configuration ends.
func (j janitor) sweep() {
	ticker, minute := time.NewTicker(10*time.Minute), time.NewTicker(time.Minute)
	defer ticker.Stop()
	defer minute.Stop()
	for {
		select {
		case now := <-minute.C:
			j.verification.expire(now)
		case now := <-ticker.C:
			if err := j.tidy(now); err != nil && j.ctx.Err() == nil {
				j.logger.Warn("deleting expired rows", zap.Error(err))
			}
		case <-j.ctx.Done():
			return
		}
	}
}

// tidy deletes what has surely expired at now, and stores that time for later processes.
func (j janitor) tidy(now time.Time) error {
	past, err := j.past(j.ctx, now)
	if err != nil {
		return err
	}
	if err := j.deleteOver(past); err != nil {
		return err
	}
	return j.store.KeepTime(j.ctx, past)
}

// past returns the earliest of all clocks: this node's wall clock, its monotonic clock, and that of
// the database server.
func (j janitor) past(ctx context.Context, now time.Time) (time.Time, error) {
	past, jump := j.store.steady.Past(now), j.store.steady.Jump(now)
	if jump != 0 {
		j.logger.Info("the clock is far from the time that this server last knew: it jumped, or "+
			"the server did not run; what is over by that time alone is deleted until the clock has gone on for "+
			"a day",
			zap.Duration("difference", jump))
	}
	_, server, err := j.store.KeptTime(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the time: %w", err)
	}
	if server.IsZero() {
		return past, nil
	}
	if off := now.Sub(server); off.Abs() > clocksDiffer {
		j.logger.Warn("the clocks of this node and of the database differ", zap.Duration("difference", off))
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
func (j janitor) deleteOver(past time.Time) error {
	const batch = 500
	type verb = func(context.Context, time.Time, int) (int, error)
	verbs := []verb{
		j.store.DeleteIdleAttempts,
		j.store.DeleteOver,
		j.deleteEntries,
		j.deleteAPITokens,
		j.deleteUses,
		j.deleteCodes,
		j.deletePushed,
		j.deleteDevices,
	}
	for source, kept := range j.forget {
		verbs = append(verbs, func(ctx context.Context, past time.Time, n int) (int, error) {
			return j.store.ForgetUnused(ctx, source, past.Add(-kept.ForgetAfter), n)
		}, func(ctx context.Context, past time.Time, n int) (int, error) {
			return j.store.ForgetUnapproved(ctx, source, past.Add(-kept.UnapprovedAfter), n)
		})
	}
	for _, verb := range verbs {
		for n := batch; n == batch; {
			var err error
			if n, err = verb(j.ctx, past, batch); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteDevices keeps the requests of devices for as long as what they became lives.
func (j janitor) deleteDevices(ctx context.Context, past time.Time, n int) (int, error) {
	return j.store.DeleteDevices(ctx, past.Add(-revocation.Margin), n)
}

// deleteUses keeps what was used for as long as clocks may differ: a node whose clock is behind still
// takes what carries the id.
func (j janitor) deleteUses(ctx context.Context, past time.Time, n int) (int, error) {
	return j.store.DeleteUses(ctx, past.Add(-revocation.Margin), n)
}

// deleteCodes and deletePushed keep what is of no use any more for as long as clocks may differ.
func (j janitor) deleteCodes(ctx context.Context, past time.Time, n int) (int, error) {
	return j.store.DeleteCodes(ctx, past.Add(-revocation.Margin), n)
}

func (j janitor) deletePushed(ctx context.Context, past time.Time, n int) (int, error) {
	return j.store.DeletePushed(ctx, past.Add(-revocation.Margin), n)
}

// deleteEntries and deleteAPITokens delete what has been over for as long as the audit trail is
// kept: it tells of a token by its id.
func (j janitor) deleteEntries(ctx context.Context, past time.Time, n int) (int, error) {
	return j.store.DeleteEntries(ctx, past.Add(-j.retention), n)
}

func (j janitor) deleteAPITokens(ctx context.Context, past time.Time, n int) (int, error) {
	return j.store.DeleteAPITokens(ctx, past.Add(-j.retention), n)
}
