package project

import (
	"strings"
	"testing"
	"time"
)

func TestSlugs(t *testing.T) {
	for _, slug := range []string{"a", "acme", "acme-2", "0", strings.Repeat("a", 63)} {
		if err := ValidateSlug(slug); err != nil {
			t.Error(err)
		}
	}
	for _, slug := range []string{
		"", "-a", "a-", "Acme", "a_b", "a.b", "a/b", "a b", "ä", strings.Repeat("a", 64), NewID(), "a\n",
	} {
		if ValidateSlug(slug) == nil {
			t.Errorf("%q was taken", slug)
		}
	}
}

func TestProjectsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		want string
		p    Project
	}{
		{"slug: ", Project{Slug: "A"}},
		{"name: 201 bytes", Project{Slug: "a", Name: strings.Repeat("n", 201)}},
		{"name: it holds a control", Project{Slug: "a", Name: "a\nb"}},
		{`audiences: "a b" is not`, Project{Slug: "a", Audiences: []string{"a b"}}},
		{`audiences: duplicate "web"`, Project{Slug: "a", Audiences: []string{"web", "web"}}},
		{"refresh_window: 25h is", Project{Slug: "a", RefreshWindow: 25 * time.Hour}},
		{"access_token_format: ", Project{Slug: "a", TokenOptions: TokenOptions{AccessTokenFormat: "JWT"}}},
		{"refresh_check: 500ms is below", Project{Slug: "a", RefreshCheck: time.Second / 2}},
	} {
		t.Run(c.want, func(t *testing.T) {
			if err := c.p.Validate(); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// TestNamesThatMislead: what a name does to the text around it on the consent page.
func TestNamesThatMislead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		refused    bool
	}{
		{"new line", "a\nb", true},
		{"C1 control", "a\u0085b", true},
		{"right to left override", "\u202egnp.bank", true},
		{"isolate", "a\u2066b", true},
		{"line separator", "a\u2028b", true},
		{"Arabic", "\u0628\u0646\u0643", false},
		{"emoji with a joiner", "\U0001F469\u200d\U0001F4BB", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := ValidateName(c.text); (err != nil) != c.refused {
				t.Errorf("%v", err)
			}
		})
	}
}
