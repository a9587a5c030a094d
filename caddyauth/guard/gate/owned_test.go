package gate

import (
	"net/http"
	"testing"
)

// TestRespelled: only other spellings of owned names count.
func TestRespelled(t *testing.T) {
	var o Owned
	if err := o.Own("X-User-Id"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want bool
	}{
		{"X-User-Id", false}, {"x-user-id", false}, {"X_User_Id", true}, {"X.User-Id", true}, {"X~User~Id", true},
		{"X-User-I\xc3", false}, {"X-User\xffId", true}, {"X_User_Ids", false}, {"X_User", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := o.Respelled(http.Header{c.name: {"alice"}, "Accept": {"*/*"}}) == c.name; got != c.want {
				t.Errorf("respelled: %v, want %v", got, c.want)
			}
		})
	}
}
