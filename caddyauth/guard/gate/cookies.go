package gate

import "strings"

const (
	// SignInCookie is the prefix of the cookies of sign-ins that are under way at the host of an
	// application; the id of the attempt follows.
	SignInCookie = "sign_in_"

	// SignInsCookie is the cookie that says when browsers came back from signing in.
	SignInsCookie = "sign_ins"
)

const (
	// HostPrefix is what the names of all cookies begin with on https: a browser lets no other host
	// set them (RFC 6265bis, section 4.1.3.2).
	HostPrefix = "__Host-"

	// minAttemptID and maxAttemptID bound the length of an id.
	minAttemptID, maxAttemptID = 12, 20
)

// IsSignInCookie reports whether a cookie is one of those of sign-ins, whatever the case and with the
// prefix or without: browsers know the prefix in any case. Without it applications may have cookies of
// their own that are called alike, so that there the whole name counts.
func IsSignInCookie(name string) bool {
	plain, prefixed := CutHostPrefix(name)
	if strings.EqualFold(plain, SignInsCookie) {
		return true
	}
	if len(plain) < len(SignInCookie) || !strings.EqualFold(plain[:len(SignInCookie)], SignInCookie) {
		return false
	}
	return prefixed || isAttemptID(plain[len(SignInCookie):])
}

// CutHostPrefix returns the name of a cookie without the prefix, whatever its case.
func CutHostPrefix(name string) (plain string, prefixed bool) {
	if len(name) > len(HostPrefix) && strings.EqualFold(name[:len(HostPrefix)], HostPrefix) {
		return name[len(HostPrefix):], true
	}
	return name, false
}

// isAttemptID reports whether the text may be the id of an attempt: digits and letters.
func isAttemptID(text string) bool {
	if len(text) < minAttemptID || len(text) > maxAttemptID {
		return false
	}
	return !strings.ContainsFunc(text, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
}
