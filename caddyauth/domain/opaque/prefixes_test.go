package opaque

import "testing"

func TestSecretsAreKnownByTheirLooks(t *testing.T) {
	for _, c := range []struct {
		text                   string
		issued, secret, maybes bool
	}{
		{"caat_x", true, true, true},
		{"rt_x", true, true, true},
		{"cacs_x", true, true, true},
		{"cart_x", true, true, true},
		{"Bearer cart_x", false, false, true},
		{"ac_x", false, false, false},
		{"at_x", true, false, false},
		{"app_x", false, false, false},
		{"eyJhbGciOiJub25lIn0.e30.", false, false, false},
		{"Bearer caat_x", false, false, true},
		{"BASIC x", false, false, true},
		{"Bearer x, basic\tx", false, false, true},
		{"", false, false, false},
	} {
		if got := [3]bool{IsIssued(c.text), IsServerSecret(c.text), MayHoldSecret(c.text)}; got != [3]bool{
			c.issued,
			c.secret,
			c.maybes,
		} {
			t.Errorf("%q: %v", c.text, got)
		}
	}
}
