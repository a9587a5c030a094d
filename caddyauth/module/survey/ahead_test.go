package survey

import (
	"net/http"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func workOf(r *http.Request) int {
	return r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)[ranVar].(*ran).work
}

// TestFiltersLookAheadOnce: filters that see the same do not look again.
func TestFiltersLookAheadOnce(t *testing.T) {
	s, filters := manyGates(40, 80)
	s.Find()
	r := plainRequest("/x")
	if asked := askAll(filters, r); asked != 0 {
		t.Errorf("%d gates were asked", asked)
	}
	if work := workOf(r); work != 80 {
		t.Errorf("%d matchers were asked, want one for each rewrite", work)
	}
}

// TestLookAheadIsBounded: a request that rewrites make much of costs no more than a bound, and all
// gates are asked then.
func TestLookAheadIsBounded(t *testing.T) {
	s, filters := manyGates(120, 240)
	s.Find()
	r := plainRequest("/all/x")
	if asked := askAll(filters, r); asked != 120 {
		t.Errorf("%d gates were asked, want all", asked)
	}
	oneRewrite := (mostForms + 1) * (120 + costOfForm + 1)
	if work := workOf(r); work > mostWork+4*240+oneRewrite {
		t.Errorf("%d matchers were asked", work)
	}
}

// TestFiles: every file is known to which a pattern may lead.
func TestFiles(t *testing.T) {
	for _, c := range []struct {
		name, pattern, split, path string
		want                       []string
	}{
		{"the path", pathPlaceholder, "", "/x", []string{"/x"}},
		{"a suffix", pathPlaceholder + ".html", "", "/x", []string{"/x.html"}},
		{"a suffix behind a folder", pathPlaceholder + ".html", "", "/x/", []string{"/x/.html"}},
		{"below", pathPlaceholder + "/index.php", "", "/x/", []string{"/x/index.php"}},
		{"a folder", pathPlaceholder + "/", "", "/x", []string{"/x/"}},
		{"fixed", "index.php", "", "/x", []string{"/index.php"}},
		{"an error", "=404", "", "/x", nil},
		{"a script with more", pathPlaceholder, ".php", "/a.PHP/b", []string{"/a.PHP/b", "/a.PHP"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &files{patterns: []string{c.pattern}}
			if c.split != "" {
				f.split = []string{c.split}
			}
			if got := f.of(c.path); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
