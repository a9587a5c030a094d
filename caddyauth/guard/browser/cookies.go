package browser

import "net/http"

// The names of the gateway's cookies. On https they carry a prefix (RFC 6265bis, section 4.1.3.2),
// which browsers refuse on http.
const (
	accessCookie  = "access_token"
	refreshCookie = "refresh_token"
	hostPrefix    = "__Host-"
)

// Names are the names of a session's cookies.
type Names struct{ Access, Refresh string }

// NamesFor returns the names for a server that is reached by https or not.
func NamesFor(https bool) Names {
	if https {
		return Names{hostPrefix + accessCookie, hostPrefix + refreshCookie}
	}
	return Names{accessCookie, refreshCookie}
}

func setCookies(w http.ResponseWriter, cookies []*http.Cookie) {
	for _, cookie := range cookies {
		http.SetCookie(w, cookie)
	}
}
