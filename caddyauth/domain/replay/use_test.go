package replay

import (
	"testing"
	"time"
)

// TestKeysDifferWhereUsesDo: no part can be written so that it reads as another's.
func TestKeysDifferWhereUsesDo(t *testing.T) {
	seen := make(map[string]Use)
	for _, u := range []Use{
		{Purpose: DPoP, Issuer: "ab", ID: "c"},
		{Purpose: DPoP, Issuer: "a", ID: "bc"},
		{Purpose: DPoP, Issuer: "", ID: "abc"},
		{Purpose: DPoP, Issuer: "abc", ID: ""},
		{Purpose: ClientAssertion, Issuer: "ab", ID: "c"},
		{Purpose: DPoP + "ab", Issuer: "", ID: "c"},
		{Purpose: DPoP, Issuer: "ab", ID: "C"},
		{Purpose: DPoP, Issuer: "ab", ID: "c\x00"},
	} {
		if other, ok := seen[u.Key()]; ok {
			t.Errorf("%+v has the key of %+v", u, other)
		}
		seen[u.Key()] = u
	}
	u := Use{Purpose: DPoP, Issuer: "ab", ID: "c"}
	later := u
	later.Until = time.Unix(1, 0)
	if u.Key() != later.Key() {
		t.Error("the key depends on the end")
	}
}
