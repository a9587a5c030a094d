package documents

import (
	"io/fs"
	"net/url"
	"os"
	"path"
	"regexp"
	"strconv"
	"testing"
)

var (
	// link finds the target of a Markdown link or image, of a link's definition, and of the HTML
	// elements that documents use.
	link = regexp.MustCompile(`(?m)\]\(([^()\s]+)\)|(?:href|src)="([^"]+)"|^\[[^\]]+\]: (\S+)$`)
	// heading finds headings.
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	// fenced and codeSpan find what is shown as it is: nothing in it is a link or a heading.
	fenced   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	codeSpan = regexp.MustCompile("`[^`]+`")
	// inline finds the marks of a heading that GitHub drops from its anchor together with a link's
	// target.
	inline = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// TestLinksResolve follows every relative link of every document to its file and, where it has a
// fragment, to its heading.
func TestLinksResolve(t *testing.T) {
	documents := All(t)
	checked := 0
	for name, text := range documents {
		text = codeSpan.ReplaceAllString(fenced.ReplaceAllString(text, ""), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, err := url.Parse(m[1] + m[2] + m[3])
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if target.IsAbs() {
				continue
			}
			checked++
			if problem := unresolved(t, documents, name, target); problem != "" {
				t.Errorf("%s: the link to %s: %s", name, target, problem)
			}
		}
	}
	if len(documents) < 15 || checked < 100 {
		t.Errorf("only %d documents with %d links were found", len(documents), checked)
	}
}

// unresolved says what is wrong with a relative link, or nothing.
func unresolved(t *testing.T, documents map[string]string, from string, target *url.URL) string {
	file := from
	if target.Path != "" {
		file = path.Join(path.Dir(from), target.Path)
	}
	if !fs.ValidPath(file) {
		return "it leads out of the repository"
	}
	if _, err := os.Stat(path.Join(Root(t), file)); err != nil {
		return err.Error()
	}
	if target.Fragment == "" {
		return ""
	}
	text, isDocument := documents[file]
	if !isDocument {
		return "a fragment of something that is not a document"
	}
	if !anchors(text)[target.Fragment] {
		return "no heading has this anchor"
	}
	return ""
}

// anchors returns the fragments of a document's headings. A repeated one gets a number, as GitHub
// does it.
func anchors(text string) map[string]bool {
	found := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		first := Anchor(inline.ReplaceAllString(m[1], "$1"))
		anchor := first
		for n := 1; found[anchor]; n++ {
			anchor = first + "-" + strconv.Itoa(n)
		}
		found[anchor] = true
	}
	return found
}

// TestAnchor compares with what GitHub makes of such headings.
func TestAnchor(t *testing.T) {
	for _, c := range []struct{ heading, want string }{
		{"When the store is away", "when-the-store-is-away"},
		{"Directive `jwt_auth`", "directive-jwt_auth"},
		{"require, deny", "require-deny"},
		{"A request's way", "a-requests-way"},
		{"caddy auth token create-api", "caddy-auth-token-create-api"},
		{"1.0.0 - 2026", "100---2026"},
	} {
		if got := Anchor(c.heading); got != c.want {
			t.Errorf("Anchor(%q) is %q, want %q", c.heading, got, c.want)
		}
	}
}
