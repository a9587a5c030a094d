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

// NumericDate is a date of a token (RFC 7519, section 2) in whole microseconds since 1970; 0 when
// it is absent. A token holds three, and comparing them is quicker than comparing instants.
type NumericDate int64

// NewNumericDate returns an instant as a date; 0 for the zero Time.
func NewNumericDate(t time.Time) NumericDate {
	if t.IsZero() {
		return 0
	}
	return NumericDate(t.UnixMicro())
}

// Time returns the instant, in UTC; the zero Time when the date is absent.
func (d NumericDate) Time() time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(d)).UTC()
}

// String writes the date as RFC 3339 does.
func (d NumericDate) String() string { return d.Time().Format(time.RFC3339) }

// CheckTime refuses a token outside its time. now is the instant to judge by; leeway is what clocks
// may differ by. It is Expired unless now < exp+leeway, NotYetValid unless now+leeway >= nbf and
// now+leeway >= iat, and LifetimeTooLong when exp is more than the issuer's maximum after iat, or
// after now where there is no iat. The error is a *Refusal (RFC 7519, sections 4.1.4 to 4.1.6).
func (t *Token) CheckTime(now time.Time, leeway time.Duration) error {
	earliest, latest := NewNumericDate(now.Add(-leeway)), NewNumericDate(now.Add(leeway))
	issued := t.IssuedAt
	if issued == 0 {
		issued = NewNumericDate(now)
	}
	switch {
	case earliest >= t.Expiry:
		return refuse(Expired, "exp was "+t.Expiry.String())
	case latest < t.NotBefore:
		return refuse(NotYetValid, "nbf is in the future: "+t.NotBefore.String())
	case latest < t.IssuedAt:
		return refuse(NotYetValid, "iat is in the future: "+t.IssuedAt.String())
	case int64(t.Expiry-issued) > t.maxLifetime().Microseconds():
		return refuse(LifetimeTooLong, "exp is too long after iat: "+t.Expiry.String())
	}
	return nil
}

func (t *Token) maxLifetime() time.Duration {
	if t.issuer == nil {
		return MaxLifetime
	}
	return t.issuer.maxLifetime
}

// takeDate reads a number of seconds, fractions allowed.
func takeDate(m *member) (NumericDate, error) {
	if m.kind != '0' {
		return 0, refuse(Malformed, "claim "+string(m.name)+" is not a number")
	}
	if sec, err := strconv.ParseInt(string(m.value), 10, 64); err == nil {
		if sec < 1 || sec > maxDate {
			return 0, refuse(Malformed, "claim "+string(m.name)+" is out of range")
		}
		return NumericDate(sec * 1e6), nil
	}
	f, err := strconv.ParseFloat(string(m.value), 64)
	if err != nil || f < 1 || f > maxDate {
		return 0, refuse(Malformed, "claim "+string(m.name)+" is out of range")
	}
	sec, frac := math.Modf(f)
	micros := math.Round(frac * 1e6) // finer than that, a float64 of this size is noise
	return NumericDate(int64(sec)*1e6 + int64(micros)), nil
}

// number is the inverse of takeDate, in the shortest form.
func (d NumericDate) number() Number {
	seconds := strconv.FormatInt(int64(d)/1e6, 10)
	if d%1e6 == 0 {
		return Number(seconds)
	}
	return Number(seconds + strings.TrimRight(fmt.Sprintf(".%06d", d%1e6), "0"))
}
