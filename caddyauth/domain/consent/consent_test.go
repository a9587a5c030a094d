package consent

import (
	"slices"
	"testing"
	"time"
)

func TestOnlyWhatIsNewIsMissing(t *testing.T) {
	stands := Consent{}.With([]string{"profile", "email"}, []string{"https://a"}, time.Unix(1, 0))
	rows := []struct {
		name                 string
		scopes, resources    []string
		wantScopes, wantMore []string
	}{
		{"nothing asked", nil, nil, nil, nil},
		{"the same in another order", []string{"email", "profile"}, []string{"https://a"}, nil, nil},
		{"part of it", []string{"email"}, nil, nil, nil},
		{"one more scope", []string{"email", "phone"}, nil, []string{"phone"}, nil},
		{"one more resource", nil, []string{"https://a", "https://b"}, nil, []string{"https://b"}},
		{"case counts", []string{"Email"}, []string{"https://A"}, []string{"Email"}, []string{"https://A"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			scopes, resources := stands.Missing(row.scopes, row.resources)
			if !slices.Equal(scopes, row.wantScopes) || !slices.Equal(resources, row.wantMore) {
				t.Errorf("missing %q and %q", scopes, resources)
			}
		})
	}
	more := stands.With([]string{"phone", "email"}, nil, time.Unix(2, 0))
	if !slices.Equal(more.Scopes, []string{"email", "phone", "profile"}) || !more.Since.Equal(time.Unix(2, 0)) {
		t.Errorf("afterwards %+v", more)
	}
	if !slices.Equal(stands.Scopes, []string{"email", "profile"}) {
		t.Errorf("the consent of before changed: %q", stands.Scopes)
	}
}
