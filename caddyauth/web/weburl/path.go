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
