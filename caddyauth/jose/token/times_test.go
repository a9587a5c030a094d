package token

import (
	"fmt"
	"testing"
	"time"
)

func TestCheckTimeEdges(t *testing.T) {
	const leeway = 30 * time.Second
	key := newMaterial(t, "k", "HS256").key
	v := newVerifier(t, Issuer{Name: ownName, Own: true, Keys: holding(key), MaxLifetime: time.Hour})
	for _, c := range []struct {
		name    string
		payload string
		at      int64         // seconds after instant
		short   time.Duration // and before the full second
		want    Reason
	}{
		{"fresh", goodClaims, 0, 0, "accepted"},
		{"last instant before exp", goodClaims, 900, 1, "accepted"},
		{"at exp", goodClaims, 900, 0, "accepted"},
		{"last instant of leeway", goodClaims, 930, 1, "accepted"},
		{"at the end of leeway", goodClaims, 930, 0, Expired},
		{"long over", goodClaims, 9000, 0, Expired},
		{"iat within leeway", goodClaims, -30, 0, "accepted"},
		{"iat just beyond leeway", goodClaims, -30, 1, NotYetValid},
		{"nbf within leeway", with("nbf", "1790000100"), 70, 0, "accepted"},
		{"nbf just beyond leeway", with("nbf", "1790000100"), 70, 1, NotYetValid},
		{"nbf with a fraction", with("nbf", "1790000100.5"), 70, 0, NotYetValid},
		{"exp with a fraction", with("exp", "1790000900.5"), 930, 0, "accepted"},
		{"longest lifetime", with("exp", "1790003600"), 0, 0, "accepted"},
		{"a second too long", with("exp", "1790003601"), 0, 0, LifetimeTooLong},
		{"too long also near its end", with("exp", "1790003601"), 3590, 0, LifetimeTooLong},
		{"a hundred years", with("exp", "4945000000"), 0, 0, LifetimeTooLong},
		{"no iat, longest from now", with("iat", ""), -2700, 0, "accepted"},
		{"no iat, too long from now", with("iat", ""), -2701, 0, LifetimeTooLong},
		{"no iat, a fraction too long", with("iat", ""), -2700, 1, LifetimeTooLong},
		{"over and too long", with("iat", "1"), 9000, 0, Expired},
		{"exp before iat, still not up", with("exp", "1789999999"), 0, 0, "accepted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := v.Verify(t.Context(), sign(t, key, headerOf(key), c.payload))
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				return
			}
			now := instant.Add(time.Duration(c.at)*time.Second - c.short)
			if got := reasonOf(t, tok.CheckTime(now, leeway)); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		})
	}
}

func TestCheckTimeWithoutLeeway(t *testing.T) {
	tok := &Token{IssuedAt: NewNumericDate(instant), Expiry: NewNumericDate(instant.Add(time.Minute))}
	for _, c := range []struct {
		at   time.Duration
		want Reason
	}{
		{-1, NotYetValid}, {0, "accepted"}, {time.Minute - 1, "accepted"}, {time.Minute, Expired},
	} {
		t.Run(fmt.Sprint(c.at), func(t *testing.T) {
			if got := reasonOf(t, tok.CheckTime(instant.Add(c.at), 0)); got != c.want {
				t.Errorf("%v: %s, want %s", c.at, got, c.want)
			}
		})
	}
}

func TestLifetimeIsAtMostAYear(t *testing.T) {
	for _, c := range []struct {
		exp  string
		want Reason
	}{{"1821536000", "accepted"}, {"1821536001", LifetimeTooLong}} {
		t.Run(c.exp, func(t *testing.T) {
			key := newMaterial(t, "k", "HS256").key
			tok, err := ownVerifier(t, key).Verify(t.Context(), sign(t, key, headerOf(key), with("exp", c.exp)))
			if err != nil {
				t.Fatal(err)
			}
			if got := reasonOf(t, tok.CheckTime(instant, 0)); got != c.want {
				t.Errorf("%s: %s, want %s", c.exp, got, c.want)
			}
		})
	}
}

func TestNumericDate(t *testing.T) {
	instant := time.Date(2026, 3, 1, 12, 0, 0, 250_000_000, time.UTC)
	for _, c := range []struct {
		name string
		give time.Time
		want NumericDate
		text string
	}{
		{"absent", time.Time{}, 0, "0001-01-01T00:00:00Z"},
		{"a fraction", instant, 1772366400250000, "2026-03-01T12:00:00Z"},
		{"another zone", instant.In(time.FixedZone("", 3600)), 1772366400250000, "2026-03-01T12:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewNumericDate(c.give)
			if d != c.want || !d.Time().Equal(c.give) || d.Time().Location() != time.UTC || d.String() != c.text {
				t.Errorf("%d, %v, %s; want %d, %v, %s", d, d.Time(), d, c.want, c.give, c.text)
			}
		})
	}
}
