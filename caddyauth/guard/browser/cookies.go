package browser

import (
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
)

// The names of the cookies of a session. On https they carry gate.HostPrefix, which browsers refuse on
// http.
const (
	accessCookie  = "access_token"
	refreshCookie = "refresh_token"
)

// Names are the names of a session's cookies.
type Names struct{ Access, Refresh string }

// NamesFor returns the names for a server that is reached by https or not.
func NamesFor(https bool) Names {
	if https {
		return Names{gate.HostPrefix + accessCookie, gate.HostPrefix + refreshCookie}
	}
	return Names{accessCookie, refreshCookie}
}

func setCookies(w http.ResponseWriter, cookies []*http.Cookie) {
	for _, cookie := range cookies {
		http.SetCookie(w, cookie)
	}
}
