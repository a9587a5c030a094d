package handover

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The names of the cookies, on https behind a prefix (RFC 6265bis, section 4.1.3.2) by which no other
// host can set them: one for each attempt, and one that says when sign-ins were completed.
const (
	hostPrefix    = "__Host-"
	attemptCookie = "sign_in_"
	tripsCookie   = "sign_ins"
)

const (
	// maxAttempts is how many attempts a browser may have at once at one host.
	maxAttempts = 5

	// A browser that comes back for the third time within tripsAge is in a circle.
	maxTrips = 2
	tripsAge = time.Minute
)

// attemptID is an id by which attempts are in the order of their time.
func attemptID(now time.Time) string {
	return strconv.FormatInt(now.UnixMilli(), 36) + strings.ToLower(rand.Text()[:6])
}

func (s *Server) cookieName(name string) string {
	if s.Secure {
		return hostPrefix + name
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
		id, ok := strings.CutPrefix(c.Name, s.cookieName(attemptCookie))
		if ok && !slices.Contains(before, id) {
			before = append(before, id)
		}
	}
	slices.Sort(before)
	for _, id := range before[:max(0, len(before)-maxAttempts+1)] {
		http.SetCookie(w, s.cookie(attemptCookie+id, "", 0))
	}
	http.SetCookie(w, s.cookie(attemptCookie+a.ID, secret, attemptAge))
}

// brings reports whether the browser has the cookie of the attempt.
func (s *Server) brings(r *http.Request, a attempt) bool {
	return slices.ContainsFunc(r.CookiesNamed(s.cookieName(attemptCookie+a.ID)),
		func(c *http.Cookie) bool { return a.isBy(c.Value) })
}

func (s *Server) clearAttempt(w http.ResponseWriter, a attempt) {
	http.SetCookie(w, s.cookie(attemptCookie+a.ID, "", 0))
}

// trips returns when the browser completed sign-ins lately, in milliseconds.
func (s *Server) trips(r *http.Request, now time.Time) (trips []string) {
	for _, c := range r.CookiesNamed(s.cookieName(tripsCookie)) {
		for text := range strings.SplitSeq(c.Value, ".") {
			ms, err := strconv.ParseInt(text, 10, 64)
			if age := now.Sub(time.UnixMilli(ms)); err == nil && age < tripsAge && age > -tripsAge {
				trips = append(trips, text)
			}
		}
	}
	return trips
}

func (s *Server) addTrip(w http.ResponseWriter, r *http.Request, now time.Time) {
	trips := append(s.trips(r, now), strconv.FormatInt(now.UnixMilli(), 10))
	trips = trips[max(0, len(trips)-maxTrips):]
	http.SetCookie(w, s.cookie(tripsCookie, strings.Join(trips, "."), tripsAge))
}

func (s *Server) forgetTrips(w http.ResponseWriter) { http.SetCookie(w, s.cookie(tripsCookie, "", 0)) }
