package command

import (
	"regexp"
	"strings"

	"github.com/mileusna/useragent"
)

// product is how programs other than browsers begin: a name and a version (RFC 9110, section
// 10.1.5).
var product = regexp.MustCompile(`^([A-Za-z][\w.-]{0,39})/(\d[\w.-]{0,19})(?: |$)`)

// browser says in a few words with what a session began: `Firefox on Linux`, `curl 8.5.0`. What is
// neither a known browser nor such a product stays what the program said of itself.
func browser(userAgent string) string {
	if strings.HasPrefix(userAgent, "Mozilla/") {
		ua := useragent.Parse(userAgent)
		if ua.Name == "" || ua.Name == useragent.Mozilla || ua.Version == "" || ua.OS == "" {
			return userAgent
		}
		return ua.Name + " on " + ua.OS
	}
	if m := product.FindStringSubmatch(userAgent); m != nil {
		return m[1] + " " + m[2]
	}
	return userAgent
}
