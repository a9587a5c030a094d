package manage

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// reply is an answer.
type reply struct {
	status   int
	body     any   // nil: none
	version  int64 // of the ETag; 0: none
	location string
	retry    time.Duration
	header   string // WWW-Authenticate
}

// write answers with the reply.
func (c *call) write(a reply) {
	h := c.w.Header()
	if a.header != "" {
		h.Set("WWW-Authenticate", a.header)
	}
	endpoint.SetRetryAfter(h, a.retry)
	if a.version > 0 {
		h.Set("ETag", etag(a.version))
	}
	if a.location != "" {
		h.Set("Location", c.Base.Path+a.location)
	}
	endpoint.WriteJSON(c.w, a.status, a.body)
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// refusal is the error of a refused call, and the form of every answer that is not a success (RFC
// 6749, section 5.2).
type refusal struct {
	status    int
	code      string // stable word
	text      string
	challenge string
	inside    error // for the log, never for the answer
}

func (e *refusal) Error() string { return e.code + ": " + e.text }

func (e *refusal) reply() reply {
	a := reply{status: e.status, body: endpoint.Error{Code: e.code, Description: e.text}, header: e.challenge}
	if e.status == http.StatusServiceUnavailable {
		a.retry = endpoint.RetryLater
	}
	return a
}

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, text: fmt.Sprintf(format, args...)}
}

// invalid is the refusal of a value; the text names the field, the value and the limit.
func invalid(format string, args ...any) *refusal {
	return refuse(http.StatusUnprocessableEntity, "invalid_value", format, args...)
}

// verdicts are the refusals that the stores and the packages of the domain know.
var verdicts = []struct {
	err    error
	status int
	code   string
	text   string
}{
	{project.ErrNoProject, http.StatusNotFound, "not_found", "there is no such project"},
	{identity.ErrNoSuchProject, http.StatusNotFound, "not_found", "there is no such project"},
	{clients.ErrNotFound, http.StatusNotFound, "not_found", "there is no such client"},
	{identity.ErrNoUser, http.StatusNotFound, "not_found", "there is no such user"},
	{consent.ErrNotFound, http.StatusNotFound, "not_found", "there is no such consent"},
	{apitoken.ErrNotFound, http.StatusNotFound, "not_found", "there is no such API token"},
	{project.ErrTaken, http.StatusConflict, "already_exists", "the slug or id is in use"},
	{identity.ErrNameTaken, http.StatusConflict, "already_exists", "the project has a user of this name"},
	{project.ErrDeclared, http.StatusConflict, "declared", "the Caddyfile declares it, so it is changed there"},
	{
		identity.ErrUserDeclared, http.StatusConflict, "declared",
		"the Caddyfile declares the user, who is changed there",
	},
	{
		project.ErrIsDefault, http.StatusConflict, "default_project",
		"the project default can be neither paused nor removed",
	},
	{project.ErrChanged, http.StatusConflict, "changed_meanwhile", "it was changed meanwhile; read it and try again"},
	{
		identity.ErrUserChanged, http.StatusConflict, "changed_meanwhile",
		"it was changed meanwhile; read it and try again",
	},
	{
		ErrMayNotIssue, http.StatusConflict, "may_not_issue",
		"the user is disabled or the project is paused, so nothing is issued",
	},
	{ErrNoKey, http.StatusNotFound, "not_found", "there is no such key"},
	{ErrKeysConfigured, http.StatusConflict, "declared", "the keys stand in the configuration and are changed there"},
	{
		identity.ErrBusy, http.StatusServiceUnavailable, "busy",
		"too many passwords are being hashed; try again in some seconds",
	},
}

// storeUnavailable is the code of an answer if the store fails.
const storeUnavailable = "store_unavailable"

// refusalOf returns the answer for an error; nil for nil. An unknown error means that the store
// could not be asked.
func refusalOf(err error) *refusal {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*refusal](err); ok {
		return e
	}
	for _, v := range verdicts {
		if errors.Is(err, v.err) {
			return &refusal{status: v.status, code: v.code, text: v.text}
		}
	}
	return &refusal{
		status: http.StatusServiceUnavailable,
		code:   storeUnavailable,
		text:   "the store cannot be asked just now; try again in some seconds",
		inside: err,
	}
}

// revocationFailed is the answer if a change is stored but what was issued before could not be
// revoked. The change remains, nothing new is issued, and repeating the request revokes the rest.
func revocationFailed(err error) error {
	e := refuse(http.StatusServiceUnavailable, "revocation_failed",
		"the change is stored, but running sessions could not be ended: send the same request again")
	e.inside = err
	return e
}

// hasIfMatch says whether the request is for a certain version.
func (c *call) hasIfMatch() bool { return c.r.Header.Get("If-Match") != "" }

// matches refuses a request for another version than the stored one (RFC 9110, section 13.1.1). A
// request without If-Match is for any. Weak tags never match.
func (c *call) matches(version int64) error {
	if !c.hasIfMatch() {
		return nil
	}
	for tag := range strings.SplitSeq(strings.Join(c.r.Header.Values("If-Match"), ","), ",") {
		if tag = strings.TrimSpace(tag); tag == etag(version) || tag == "*" {
			return nil
		}
	}
	return refuse(http.StatusPreconditionFailed, "version_mismatch", "it has version %d, which If-Match does not name",
		version)
}

// tries is how often a change is tried while others change the same object.
const tries = 4

// change repeats an attempt (read, edit, compare and swap) while others change the same object.
// With If-Match the new version is another than the one asked for, so that the second attempt is
// refused.
func (c *call) change(attempt func() error) error {
	var err error
	for range tries {
		err = attempt()
		if !errors.Is(err, project.ErrChanged) && !errors.Is(err, identity.ErrUserChanged) {
			return err
		}
	}
	return err
}

// seconds is a duration in the API's form; nil for none.
func seconds(d time.Duration) *int64 {
	if d == 0 {
		return nil
	}
	n := int64(max(d, 0) / time.Second)
	return &n
}

// rfc3339 is a time in the API's form; nil for never.
func rfc3339(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format("2006-01-02T15:04:05.000Z")
	return &text
}

// nonNil returns the list, or an empty one: the API never answers with null.
func nonNil[E any](list []E) []E {
	if list == nil {
		return []E{}
	}
	return list
}
