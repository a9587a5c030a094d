package command

import (
	"regexp"
	"strings"

	"github.com/mileusna/useragent"
)

// productToken is the start of the User-Agent of programs other than browsers: a name and a version
// (RFC 9110, section 10.1.5).
var productToken = regexp.MustCompile(`^([A-Za-z][\w.-]{0,39})/(\d[\w.-]{0,19})(?: |$)`)

// describeDevice shortens the User-Agent of a sign-in: `Firefox on Linux`, `curl 8.5.0`. One that
// is neither of a known browser nor such a product is returned unchanged.
func describeDevice(userAgent string) string {
	if strings.HasPrefix(userAgent, "Mozilla/") {
		ua := useragent.Parse(userAgent)
		if ua.Name == "" || ua.Name == useragent.Mozilla || ua.Version == "" || ua.OS == "" {
			return userAgent
		}
		return ua.Name + " on " + ua.OS
	}
	if m := productToken.FindStringSubmatch(userAgent); m != nil {
		return m[1] + " " + m[2]
	}
	return userAgent
}
