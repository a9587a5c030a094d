package gate

import (
	"net/http/httptest"
	"testing"
)

// TestConcealLeavesNoOtherConnection: what is left of a Connection field must not name a header
// that it did not name when the owned headers were looked for: a proxy deletes what it names.
func TestConcealLeavesNoOtherConnection(t *testing.T) {
	c := new(Credentials)
	if err := c.Add(Source{Query, "t"}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"X-User-Id?t=1", "close, X-User-Id?t=1", "a?t=1, X-User-Id", "X-User-Id?a=/b?t=1"} {
		t.Run(line, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/x?t=1", nil)
			r.Header.Set("Connection", line)
			c.Conceal(r)
			if left := r.Header["Connection"]; len(left) > 0 {
				t.Errorf("left %q", left)
			}
		})
	}
}
