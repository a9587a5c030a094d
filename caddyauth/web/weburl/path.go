package weburl

import (
	"fmt"
	"strings"
)

// ValidatePath refuses what cannot be the path of a route: /a/b, without a trailing slash.
func ValidatePath(path string) error {
	for i := range len(path) {
		if c := path[i]; c != '/' && c != '~' && !isWord(c) {
			return fmt.Errorf("%q has a character besides letters, digits and /-._~", path)
		}
	}
	segments := strings.Split(path, "/")
	if segments[0] != "" || len(segments) < 2 {
		return fmt.Errorf("%q does not begin with a slash", path)
	}
	for _, segment := range segments[1:] {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("%q has an empty segment, or one of dots", path)
		}
	}
	return nil
}

// HasDotSegments reports whether an unescaped path that begins with a slash has dot segments, with or
// without parameters (`..;x`), or backslashes, which browsers and some servers read as slashes.
func HasDotSegments(path string) bool {
	if strings.IndexByte(path, '\\') >= 0 {
		return true
	}
	if !strings.Contains(path, "/.") { // few paths have it
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			return true
		}
	}
	return false
}
