package identity

import (
	"context"
	"time"
)

// The limits of TakeRequest. A request has at most 6 KiB and is deleted some minutes after its end, so
// that all of them together take less than 200 MB.
var (
	requestsOfAddress = Limit{Burst: 200, Every: time.Second}
	requestsOfAll     = Limit{Burst: 5000, Every: 50 * time.Millisecond}
)

// TakeRequest counts a request that anybody can have the store keep until a person decides about it, in
// a limit for the client address and in one for everybody; each kind of requests has its own. It
// returns 0 when it may be stored, else how long to wait. An error is the store's: then nothing was
// counted.
func (t *Throttle) TakeRequest(ctx context.Context, kind, clientIP string, now time.Time) (time.Duration, error) {
	return t.TakeArrival(ctx, kind, requestsOfAddress, requestsOfAll, clientIP, now)
}

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
	from, _ := CanonicalAddress(clientIP)
	return t.Store.TakeAttempt(ctx, Attempt{
		Buckets: []Bucket{
			address.bucket(t.key(source+" from an address", from)),
			all.bucket(t.key(source)),
		},
	}, now)
}
