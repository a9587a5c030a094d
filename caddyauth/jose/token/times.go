package token

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// MaxLifetime is the longest time from `iat` to `exp` that any issuer may have, and an issuer's
// maximum unless it has a lower one: 365 days.
const MaxLifetime = 365 * 24 * time.Hour

// maxDate is the year 3000 in seconds since 1970. What is beyond counts in other units.
const maxDate = 32503680000

// CheckTime refuses a token outside its time. now is the instant to judge by; leeway is what clocks
// may differ by. It is Expired unless now < exp+leeway, NotYetValid unless now+leeway >= nbf and
// now+leeway >= iat, and LifetimeTooLong when exp is more than the issuer's maximum after iat, or
// after now where there is no iat. The error is a *Refusal (RFC 7519, sections 4.1.4 to 4.1.6).
func (t *Token) CheckTime(now time.Time, leeway time.Duration) error {
	// Whole microseconds are what takeDate reads, and quicker to compare than instants.
	earliest, latest := now.Add(-leeway).UnixMicro(), now.Add(leeway).UnixMicro()
	expiry, issued := t.Expiry.UnixMicro(), t.IssuedAt.UnixMicro()
	born := issued
	if t.IssuedAt.IsZero() {
		born = now.UnixMicro()
	}
	switch {
	case earliest >= expiry:
		return refuse(Expired, "exp was "+t.Expiry.UTC().Format(time.RFC3339))
	case latest < t.NotBefore.UnixMicro():
		return refuse(NotYetValid, "nbf is in the future: "+t.NotBefore.UTC().Format(time.RFC3339))
	case latest < issued:
		return refuse(NotYetValid, "iat is in the future: "+t.IssuedAt.UTC().Format(time.RFC3339))
	case expiry-born > t.maxLifetime().Microseconds():
		return refuse(LifetimeTooLong, "exp is too long after iat: "+t.Expiry.UTC().Format(time.RFC3339))
	}
	return nil
}

func (t *Token) maxLifetime() time.Duration {
	if t.issuer == nil {
		return MaxLifetime
	}
	return t.issuer.maxLifetime
}

// takeDate reads a NumericDate (RFC 7519, section 2): a number of seconds, fractions allowed.
func takeDate(m *member) (time.Time, error) {
	if m.kind != '0' {
		return time.Time{}, refuse(Malformed, "claim "+string(m.name)+" is not a number")
	}
	if sec, err := strconv.ParseInt(string(m.value), 10, 64); err == nil {
		if sec < 1 || sec > maxDate {
			return time.Time{}, refuse(Malformed, "claim "+string(m.name)+" is out of range")
		}
		return time.Unix(sec, 0).UTC(), nil
	}
	f, err := strconv.ParseFloat(string(m.value), 64)
	if err != nil || f < 1 || f > maxDate {
		return time.Time{}, refuse(Malformed, "claim "+string(m.name)+" is out of range")
	}
	sec, frac := math.Modf(f)
	micros := int64(math.Round(frac * 1e6)) // finer than that, a float64 of this size is noise
	return time.Unix(int64(sec), micros*int64(time.Microsecond)).UTC(), nil
}

// dateNumber is the inverse of takeDate, in the shortest form.
func dateNumber(t time.Time) Number {
	seconds := strconv.FormatInt(t.Unix(), 10)
	if t.Nanosecond() == 0 {
		return Number(seconds)
	}
	return Number(seconds + strings.TrimRight(fmt.Sprintf(".%09d", t.Nanosecond()), "0"))
}
