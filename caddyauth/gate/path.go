package gate

import (
	"net/http"
	"strings"
)

// CheckPath refuses a path that applications read in different ways: with dot segments (RFC 3986, section 5.2.4, has clients remove
// them), also with parameters behind the dots as some servers take them off, or with backslashes. A matcher and an application that
// disagree about such a path would disagree about which policy holds. The error is a *token.Refusal.
func CheckPath(r *http.Request) error {
	path := r.URL.Path
	if strings.IndexByte(path, '\\') >= 0 || strings.Contains(path, "/.") && hasDotSegment(path) {
		return refuse(AmbiguousPath, "the path has dot segments or backslashes")
	}
	return nil
}

func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}
