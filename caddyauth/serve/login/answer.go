package login

import (
	"cmp"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// result is the stable word for an outcome.
type result string

const (
	success              result = "success"
	badCredentials       result = "bad_credentials"
	throttled            result = "throttled"
	busy                 result = "busy"
	canceled             result = "canceled"
	crossOrigin          result = "cross_origin"
	storeUnavailable     result = "store_unavailable"
	issueFailed          result = "issue_failed"
	tokenTooLarge        result = "token_too_large"
	unknownProject       result = "unknown_project"
	invalidRequest       result = "invalid_request"
	noCookies            result = "no_cookies"
	tooLargeBody         result = "too_large"
	unsupportedMediaType result = "unsupported_media_type"
	methodNotAllowed     result = "method_not_allowed"
	notFound             result = "not_found"
)

// Results returns every value of audit.Event.Result.
func Results() []string {
	return []string{
		string(success), string(badCredentials), string(throttled), string(busy), string(canceled), string(crossOrigin),
		string(storeUnavailable), string(issueFailed), string(tokenTooLarge), string(unknownProject),
		string(invalidRequest), string(noCookies), string(tooLargeBody), string(unsupportedMediaType),
	}
}

// answer is how a result is shown to the client.
type answer struct {
	status int
	title  string // heading of a page of its own
	text   string
	retry  time.Duration // of Retry-After, when the verdict brings none
}

var answers = map[result]answer{
	badCredentials: {http.StatusUnauthorized, "Not signed in", "The user name or the password is wrong.", 0},
	throttled: {
		http.StatusTooManyRequests, "Too many attempts", "There were too many attempts. Please wait and try again.",
		time.Second,
	},
	busy: {
		http.StatusServiceUnavailable, "Busy",
		"Too many people are signing in just now. Please try again in a few seconds.", 5 * time.Second,
	},
	canceled: {
		endpoint.StatusClientGone, "Interrupted", "The request ended before it was answered.", 5 * time.Second,
	},
	crossOrigin: {
		http.StatusForbidden, "Request from another site",
		"This request was sent by another site, so it was not carried out. Open this site's own page and try there.",
		0,
	},
	storeUnavailable: {
		http.StatusServiceUnavailable, "Not available",
		"Signing in and out is not possible just now. Please try again in a few seconds.", 5 * time.Second,
	},
	issueFailed: {
		http.StatusServiceUnavailable, "Not available",
		"The sign-in could not be completed. Please try again in a few seconds.", 5 * time.Second,
	},
	tokenTooLarge: {
		http.StatusInternalServerError, "Not signed in",
		"This account cannot sign in with a browser. Please tell the people who run this site.", 0,
	},
	unknownProject: {http.StatusNotFound, "Not found", "There is no such project.", 0},
	invalidRequest: {
		http.StatusBadRequest, "Not understood", "The request is incomplete, malformed, or repeats a parameter.", 0,
	},
	noCookies: {
		http.StatusBadRequest, "Not signed in",
		"Your browser did not keep a cookie of this site, and signing in needs one. Allow cookies for this site, " +
			"then sign in again.",
		0,
	},
	tooLargeBody:         {http.StatusRequestEntityTooLarge, "Too large", "The request is larger than 16 KiB.", 0},
	unsupportedMediaType: {http.StatusUnsupportedMediaType, "Not understood", "The request must be a form or JSON.", 0},
	methodNotAllowed:     {http.StatusMethodNotAllowed, "Not possible", "This address does not answer this method.", 0},
	notFound:             {http.StatusNotFound, "Not found", "There is nothing here.", 0},
}

// verdict is the outcome of a request and what the answer needs of it.
type verdict struct {
	result  result
	account string        // of a user who exists
	wait    time.Duration // until a new attempt makes sense
	issued  Issued
	err     error
}

// retryAfter returns after which time a new attempt makes sense; 0 if that is unknown.
func (v verdict) retryAfter() time.Duration { return max(v.wait, answers[v.result].retry) }

// text returns the sentence for the verdict.
func (v verdict) text() string {
	if v.result == throttled {
		return "There were too many attempts. Please try again in " +
			seconds(int(math.Ceil(v.retryAfter().Seconds()))) + "."
	}
	return answers[v.result].text
}

func seconds(n int) string {
	if n == 1 {
		return "1 second"
	}
	return strconv.Itoa(n) + " seconds"
}

// refuse answers with the refusal, as JSON or as a page of its own.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, v verdict) {
	if s.wantsJSON(r) {
		refuseJSON(w, v)
		return
	}
	setRetryAfter(w, v)
	ui.Render(w, answers[v.result].status, ui.Message{
		Site: s.Base.Host, Title: answers[v.result].title, Text: v.text(), Code: string(v.result),
		Links: append([]ui.Link{{Text: "Go to the sign-in page", URL: s.url("/login")}}, s.homeLink()...),
	})
}

// refuseJSON answers with the refusal as JSON.
func refuseJSON(w http.ResponseWriter, v verdict) {
	setRetryAfter(w, v)
	endpoint.WriteError(w, answers[v.result].status, string(v.result), v.text())
}

// grantJSON answers with the token in the form of RFC 6749, section 5.1.
func grantJSON(w http.ResponseWriter, token Issued) {
	body := struct {
		AccessToken      string `json:"access_token"`
		TokenType        string `json:"token_type"`
		ExpiresIn        int64  `json:"expires_in"`
		RefreshToken     string `json:"refresh_token,omitempty"`
		RefreshExpiresIn int64  `json:"refresh_expires_in,omitempty"`
	}{AccessToken: token.AccessToken, TokenType: "Bearer", ExpiresIn: int64(token.ExpiresIn / time.Second)}
	if token.RefreshToken != "" {
		body.RefreshToken, body.RefreshExpiresIn = token.RefreshToken, int64(token.RefreshExpiresIn/time.Second)
	}
	endpoint.WriteJSON(w, http.StatusOK, body)
}

// redirect redirects a browser after a form was posted, without a referrer.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func setRetryAfter(w http.ResponseWriter, v verdict) {
	endpoint.SetRetryAfter(w.Header(), v.retryAfter())
}

// wantsJSON chooses the form of an answer: the one of text/html and application/json that Accept
// prefers; without a preference the form of the request, and otherwise a page. The API always
// answers with JSON.
func (s *Server) wantsJSON(r *http.Request) bool {
	if rest, ok := strings.CutPrefix(r.URL.Path, s.Base.Path); ok && strings.HasPrefix(rest, "/api/") {
		return true
	}
	if n := preference(r); n != 0 {
		return n < 0
	}
	return endpoint.MediaType(r) == endpoint.JSONType
}

// preference is positive when Accept prefers a page, negative when it prefers JSON, by weight and
// then by which of them it names more exactly ("application/json, */*" is what scripts send).
func preference(r *http.Request) int {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	pageWeight, pageRank := accepted(accept, "text", "html")
	dataWeight, dataRank := accepted(accept, "application", "json")
	return cmp.Or(cmp.Compare(pageWeight, dataWeight), cmp.Compare(pageRank, dataRank))
}

// accepted returns the weight of a type in an Accept header (RFC 9110, section 12.5.1): that of the
// most specific range that covers it, and how specific that range is; 0 and 0 if none does.
func accepted(accept, kind, sub string) (q float64, rank int) {
	ranks := map[string]int{kind + "/" + sub: 3, kind + "/*": 2, "*/*": 1}
	for part := range strings.SplitSeq(accept, ",") {
		mediaRange, params, _ := strings.Cut(part, ";")
		if r := ranks[strings.ToLower(strings.TrimSpace(mediaRange))]; r > rank {
			q, rank = weight(params), r
		}
	}
	if q <= 0 {
		return 0, 0
	}
	return q, rank
}

func weight(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if q, err := strconv.ParseFloat(value, 64); strings.EqualFold(name, "q") && err == nil {
			return q
		}
	}
	return 1
}
