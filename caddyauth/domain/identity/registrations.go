package identity

import (
	"context"
	"time"
)

// TakeRegistration counts a client that registers itself, in a limit for the client address and in
// one for everybody. It returns 0 when the registration may go on, else how long to wait. An error
// is the store's: then nothing was counted.
func (t *Throttle) TakeRegistration(
	ctx context.Context,
	address, all Limit,
	clientIP string,
	now time.Time,
) (time.Duration, error) {
	return t.takeClient(ctx, "registration", address, all, clientIP, now)
}

// TakeDocument counts the first fetch of a client's metadata document, in limits like those of
// TakeRegistration.
func (t *Throttle) TakeDocument(
	ctx context.Context,
	address, all Limit,
	clientIP string,
	now time.Time,
) (time.Duration, error) {
	return t.takeClient(ctx, "client metadata", address, all, clientIP, now)
}

func (t *Throttle) takeClient(
	ctx context.Context,
	what string,
	address, all Limit,
	clientIP string,
	now time.Time,
) (time.Duration, error) {
	from, _ := canonicalAddress(clientIP)
	return t.Store.TakeAttempt(ctx, Attempt{
		Buckets: []Bucket{
			address.bucket(t.key(what+" from an address", from)),
			all.bucket(t.key(what)),
		},
	}, now)
}
