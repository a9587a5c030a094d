package identity

import (
	"context"
	"time"
)

// TakeArrival counts a client that comes by itself, in a limit for the client address and in one for
// everybody; each source of such clients has its own. It returns 0 when the client may come, else
// how long to wait. An error is the store's: then nothing was counted.
func (t *Throttle) TakeArrival(
	ctx context.Context,
	source string,
	address, all Limit,
	clientIP string,
	now time.Time,
) (time.Duration, error) {
	from, _ := canonicalAddress(clientIP)
	return t.Store.TakeAttempt(ctx, Attempt{
		Buckets: []Bucket{
			address.bucket(t.key(source+" from an address", from)),
			all.bucket(t.key(source)),
		},
	}, now)
}
