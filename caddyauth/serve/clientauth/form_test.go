package clientauth

import (
	"maps"
	"net/url"
	"slices"
	"testing"
)

// TestParseReadsWhatURLParseQueryReads: what the standard library takes for a form, with the same
// parameters; and nothing else.
func TestParseReadsWhatURLParseQueryReads(t *testing.T) {
	for _, body := range []string{
		"", "&", "&&a=1&", "a", "a=", "=b", "=", "a=b=c", "a=1&b=2", "a+b=c+d", "a%20b=%26%3D%3b", "%61=1",
		"a=%C3%BC", "a=%00", "a=%ff", "ü=ü", "a=\x00", "a=1;b=2", "a;b=1", ";",
		"a=%", "a=%2", "a=%zz", "%zz=1", "a=1&%=2", "a=1&b=%", "a#b=c?d",
		"resource=x&resource=y", "audience=&audience=z", "%72esource=x", "resource=%", "resource=", "Resource=x",
		"a=1&a=1", "a=&a=1", "a=1&a=", "a=&a=", "a=1&%61=2", "a=1&a=2&b=%", "a=1&A=2", "\r\na=1\r\n",
	} {
		t.Run(body, func(t *testing.T) {
			form, lists, err := parse(body)
			values, bad := url.ParseQuery(body)
			want, wantLists := Form{}, Lists{}
			for name, v := range values {
				v = slices.DeleteFunc(v, func(s string) bool { return s == "" && slices.Contains(repeatable, name) })
				switch {
				case slices.Contains(repeatable, name):
					wantLists[name] = v
				case len(v) != 1:
					want = nil
				}
				if len(v) == 1 && v[0] != "" && want != nil && !slices.Contains(repeatable, name) {
					want[name] = v[0]
				}
			}
			maps.DeleteFunc(wantLists, func(_ string, v []string) bool { return len(v) == 0 })
			text := ""
			if p, ok := err.(*Problem); ok {
				text = p.Text
			}
			switch {
			case bad != nil:
				if text != "The body is not a form." {
					t.Errorf("%v, %v, %v; the standard library says %v", form, lists, err, bad)
				}
			case want == nil:
				if text != "The body has a duplicate parameter." {
					t.Errorf("%v, %v, %v; want a duplicate", form, lists, err)
				}
			case err != nil || !maps.Equal(form, want) || !maps.EqualFunc(lists, wantLists, slices.Equal):
				t.Errorf("%v, %v, %v; want %v, %v", form, lists, err, want, wantLists)
			}
		})
	}
}
