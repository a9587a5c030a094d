package handover

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

func states(keys ...string) States {
	var s States
	for _, key := range keys {
		s.Keys = append(s.Keys, keyring.Subkey{Key: []byte(strings.Repeat(key, 32))})
	}
	return s
}

// TestStatesOfOtherServersAreRefused: a state opens with any of the secrets of this server, whole
// or not at all.
func TestStatesOfOtherServersAreRefused(t *testing.T) {
	a, secret := newAttempt("https://a.example", "/x?y=1", time.Now())
	sealed, err := states("1").seal(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		states States
		text   string
		opens  bool
	}{
		{"the same secret", states("1"), sealed, true},
		{"a secret that was replaced", states("2", "1"), sealed, true},
		{"another secret", states("2"), sealed, false},
		{"no secret", States{}, sealed, false},
		{"nothing", states("1"), "", false},
		{"cut", states("1"), sealed[:len(sealed)-1], false},
		{"longer", states("1"), sealed + "A", false},
		{"padded", states("1"), sealed + "=", false},
		{"huge", states("1"), strings.Repeat("A", maxState+1), false},
		{"not sealed", states("1"), base64.RawURLEncoding.EncodeToString([]byte(`{"id":"x"}`)), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.states.open(c.text)
			if (err == nil) != c.opens || c.opens && (got.Target != "/x?y=1" || !got.isBy(secret) || got.isBy("x")) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// TestTargetsKeepTheirBytes: what is no path of this host becomes its root.
func TestTargetsKeepTheirBytes(t *testing.T) {
	for _, c := range []struct{ uri, want string }{
		{"/a%2Fb/%C3%A4?x=1&y=%20+&&", "/a%2Fb/%C3%A4?x=1&y=%20+&&"},
		{"/\xc3\xa4", "/%C3%A4"},
		{"//evil/x", "//evil/x"},
		{"/\\evil", "/"},
		{"/a b", "/"},
		{"/a\nb", "/"},
		{"/a#b", "/"},
		{"", "/"},
		{"http://evil/", "/"},
	} {
		t.Run(c.uri, func(t *testing.T) {
			if got := plainTarget(c.uri); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestTheLongestStateIsRead: a target of the greatest length fits.
func TestTheLongestStateIsRead(t *testing.T) {
	a, _ := newAttempt("https://a.example", "/"+strings.Repeat("&", maxTarget-1), time.Now())
	sealed, err := states("1").seal(a)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := states("1").open(sealed); err != nil || got.Target != a.Target || a.Shortened {
		t.Errorf("%d bytes: %v", len(sealed), err)
	}
	a, _ = newAttempt("https://a.example", "/"+strings.Repeat(`"`, maxTarget-1), time.Now())
	if sealed, err = states("1").seal(a); err != nil {
		t.Fatal(err)
	}
	if got, err := states("1").open(sealed); err != nil || got.Target != "/" || !got.Shortened {
		t.Errorf("escaped: %d bytes: %v", len(sealed), err)
	}
	if a, _ := newAttempt("https://a.example", "/"+strings.Repeat("&", maxTarget), time.Now()); !a.Shortened ||
		a.Target != "/" {
		t.Errorf("%+v", a)
	}
}
