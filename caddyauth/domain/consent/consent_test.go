package consent

import (
	"slices"
	"testing"
	"time"
)

// TestWhatWasAllowed covers the words that were allowed, each at its own target.
func TestWhatWasAllowed(t *testing.T) {
	allowed := []string{"profile", "email", At("https://a", "read")}
	stands := Consent{}.With(allowed, []string{"https://a"}, time.Unix(1, 0))
	for _, row := range []struct {
		name  string
		words []string
		want  bool
	}{
		{"nothing asked", nil, true},
		{"the same in another order", []string{At("https://a", "read"), "email", "profile"}, true},
		{"part of it", []string{"email"}, true},
		{"one more scope", []string{"email", "phone"}, false},
		{"case counts", []string{"Email"}, false},
		{"at no resource", []string{"read"}, false},
		{"at another resource", []string{At("https://b", "read")}, false},
		{"at a resource that begins so", []string{At("https://a https://b", "read")}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if stands.Covers(row.words...) != row.want {
				t.Errorf("%q: want %t", row.words, row.want)
			}
		})
	}
	if got := stands.ScopesAt("https://a"); !slices.Equal(got, []string{"read"}) {
		t.Errorf("at the resource: %q", got)
	}
	more := stands.With([]string{"phone", "email"}, nil, time.Unix(2, 0))
	if !slices.Equal(more.Scopes, []string{At("https://a", "read"), "email", "phone", "profile"}) ||
		!more.Since.Equal(time.Unix(2, 0)) {
		t.Errorf("afterwards %+v", more)
	}
	if !slices.Equal(stands.Scopes, []string{At("https://a", "read"), "email", "profile"}) {
		t.Errorf("the consent of before changed: %q", stands.Scopes)
	}
}
