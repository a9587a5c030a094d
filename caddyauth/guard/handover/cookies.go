package handover

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
)

const (
	// maxAttempts is how many attempts a browser may have at once at one host.
	maxAttempts = 5

	// A browser that comes back for the third time within tripsAge is in a redirect loop. keptTrips
	// is how many of its trips the cookie has.
	maxTrips  = 2
	tripsAge  = time.Minute
	keptTrips = 16
)

// attemptID is an id by which attempts are in the order of their time.
func attemptID(now time.Time) string {
	return strconv.FormatInt(now.UnixMilli(), 36) + strings.ToLower(rand.Text()[:6])
}

func (s *Server) cookieName(name string) string {
	if s.Secure {
		return gate.HostPrefix + name
	}
	return name
}

// cookie returns a cookie of this host; an empty value clears it.
func (s *Server) cookie(name, value string, age time.Duration) *http.Cookie {
	maxAge := int(age / time.Second)
	if value == "" {
		maxAge = -1
	}
	return &http.Cookie{
		Name:     s.cookieName(name),
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		Secure:   s.Secure,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode, // the answer of the server comes from another site
	}
}

// setAttempt sets the cookie of an attempt. Of too many the oldest go.
func (s *Server) setAttempt(w http.ResponseWriter, r *http.Request, a attempt, secret string) {
	var before []string
	for _, c := range r.Cookies() {
		id, ok := strings.CutPrefix(c.Name, s.cookieName(gate.SignInCookie))
		if ok && gate.IsSignInCookie(c.Name) && !slices.Contains(before, id) { // on http applications have some
			before = append(before, id)
		}
	}
	slices.Sort(before)
	for _, id := range before[:max(0, len(before)-maxAttempts+1)] {
		http.SetCookie(w, s.cookie(gate.SignInCookie+id, "", 0))
	}
	http.SetCookie(w, s.cookie(gate.SignInCookie+a.ID, secret, attemptAge))
}

// brings reports whether the browser has the cookie of the attempt.
func (s *Server) brings(r *http.Request, a attempt) bool {
	return slices.ContainsFunc(r.CookiesNamed(s.cookieName(gate.SignInCookie+a.ID)),
		func(c *http.Cookie) bool { return a.isBy(c.Value) })
}

func (s *Server) clearAttempt(w http.ResponseWriter, a attempt) {
	http.SetCookie(w, s.cookie(gate.SignInCookie+a.ID, "", 0))
}

// tripTo is a short hash of the target that a signed-in browser was sent to, and signInFor of the
// target that it came back to after a sign-in. They are counted per target: in a redirect loop the
// same page is requested again and again, while a person may open several pages or sign in again for
// another one.
func tripTo(target string) string    { return base64.RawURLEncoding.EncodeToString(hashOf(target)[:6]) }
func signInFor(target string) string { return tripTo("sign in: " + target) }

// trip is one time that a browser came back from signing in: when, in milliseconds, and where.
// The cookie has them as `1767225600000-AbCdEfGh`, with a full stop between two.
type trip struct {
	ms int64
	to string
}

func (t trip) String() string { return strconv.FormatInt(t.ms, 10) + "-" + t.to }

// trips are those that the browser has made lately.
func (s *Server) trips(r *http.Request, now time.Time) (trips []trip) {
	for _, c := range r.CookiesNamed(s.cookieName(gate.SignInsCookie)) {
		for text := range strings.SplitSeq(c.Value, ".") {
			number, to, _ := strings.Cut(text, "-")
			ms, err := strconv.ParseInt(number, 10, 64)
			age := now.Sub(time.UnixMilli(ms))
			if err == nil && age < tripsAge && age > -tripsAge && len(to) <= len(tripTo("")) {
				trips = append(trips, trip{ms, to})
			}
		}
	}
	return trips
}

// isRedirectLoop reports whether the browser has made so many trips to a target that another one is a
// redirect loop.
func (s *Server) isRedirectLoop(r *http.Request, to string, now time.Time) bool {
	made := 0
	for _, t := range s.trips(r, now) {
		if t.to == to {
			made++
		}
	}
	return made >= maxTrips
}

func (s *Server) addTrip(w http.ResponseWriter, r *http.Request, to string, now time.Time) {
	trips := append(s.trips(r, now), trip{now.UnixMilli(), to})
	var texts []string
	for _, t := range trips[max(0, len(trips)-keptTrips):] {
		texts = append(texts, t.String())
	}
	http.SetCookie(w, s.cookie(gate.SignInsCookie, strings.Join(texts, "."), tripsAge))
}

func (s *Server) forgetTrips(w http.ResponseWriter) {
	http.SetCookie(w, s.cookie(gate.SignInsCookie, "", 0))
}
