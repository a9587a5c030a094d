package identity

import (
	"context"
	"time"
)

// The limits of TakeGuess. A code of 34 bits that lives for some minutes is safe behind them.
var (
	guessesOfPerson  = Limit{Burst: 10, Every: 30 * time.Second}
	guessesOfAddress = Limit{Burst: 30, Every: 10 * time.Second}
	guessesOfAll     = Limit{Burst: 300, Every: time.Second}
)

// TakeGuess counts a short code that a person who is signed in has typed in: in a limit for the
// person, one for the client address, and one for everybody. It returns 0 when the code may be looked
// up, else how long to wait. An error is the store's: then nothing was counted.
func (t *Throttle) TakeGuess(ctx context.Context, account, clientIP string, now time.Time) (time.Duration, error) {
	address, _ := CanonicalAddress(clientIP)
	return t.Store.TakeAttempt(ctx, Attempt{
		Buckets: []Bucket{
			guessesOfPerson.bucket(t.key("guess of a person", account)),
			guessesOfAddress.bucket(t.key("guess of an address", address)),
		},
		Account: guessesOfAll.bucket(t.key("guess")),
		Known:   t.key("nobody is exempt"),
	}, now)
}
