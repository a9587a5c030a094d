package clients

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Registration is how a client came that nobody who runs the server has added, beside what it is.
type Registration struct {
	// Fingerprint is the same for registrations that get the same client. Default: the client is
	// nobody else's.
	Fingerprint string

	// Token is secrets.Hash of the registration access token (RFC 7592, section 3). Default: none,
	// the client is not changed by whoever registered it.
	Token string

	// Fresh is until when the copy of a metadata document holds. Default: it does not.
	Fresh time.Time

	// AtMost is the limit on clients of the source, this one included. Default: no limit.
	AtMost int

	// RoomBefore says which clients make room where there are too many: one that came before this time,
	// and that nobody has ever allowed anything, goes. Default: none does.
	RoomBefore time.Time
}

// ErrTooMany says that a source has reached its limit of clients (Registration.AtMost).
var ErrTooMany = errors.New("max_clients: the limit of clients is reached")

// RegistrationStore keeps clients that register themselves, and those of metadata documents. Every
// verb is one atomic step; times are kept in milliseconds.
type RegistrationStore interface {
	// AddRegistered stores a new client, or returns the one that has the fingerprint already,
	// unchanged. project.ErrTaken when the id is in use, project.ErrNoProject, and ErrTooMany. Clients
	// that are added at the same moment may together exceed r.AtMost.
	AddRegistered(ctx context.Context, c Client, r Registration) (Client, error)

	// FindRegistered returns a client that registered itself or has a document, or ErrNotFound.
	FindRegistered(ctx context.Context, id string) (Client, Registration, error)

	// ChangeRegistered is Store.ChangeClient for a client that changes itself: people are asked
	// anew whether they allow it what it asks for.
	ChangeRegistered(ctx context.Context, c Client, now time.Time) (Client, error)

	// PutDocument stores the client of a metadata document, or what the document says now over what
	// it said before. Whether the client is active, its claims and its lifetimes stay. Where name or
	// addresses change, people are asked anew. It uses r.Fresh, r.AtMost and r.RoomBefore. ErrTooMany,
	// as with AddRegistered.
	PutDocument(ctx context.Context, c Client, r Registration, now time.Time) error

	// NoteUse notes that a client was used. One that did not register is left alone.
	NoteUse(ctx context.Context, id string, now time.Time) error

	// ForgetUnused removes at most n active clients of a source that were not used since before a
	// time, and that nothing which was issued belongs to any more.
	ForgetUnused(ctx context.Context, source string, before time.Time, n int) (int, error)

	// ForgetUnapproved is ForgetUnused for clients that nobody has ever allowed anything.
	ForgetUnapproved(ctx context.Context, source string, before time.Time, n int) (int, error)
}

// registrationPrefix is what a registration access token begins with.
const registrationPrefix = "cart_"

// NewRegistrationToken returns a registration access token, to be shown once; secrets.Hash of it is
// what is stored.
func NewRegistrationToken() string { return secrets.New(registrationPrefix) }

// HasToken reports whether token is the registration access token.
func (r Registration) HasToken(token string) bool {
	return r.Token != "" && subtle.ConstantTimeCompare([]byte(secrets.Hash(token)), []byte(r.Token)) == 1
}

// Fingerprint returns the same text for clients that say the same of themselves and may have the
// same. Secrets do not count: only clients without any are compared.
func (c Client) Fingerprint() (string, error) {
	text, err := json.Marshal([]any{c.Project, c.Name, c.Settings, c.Audience, c.Scopes})
	if err != nil {
		return "", err
	}
	return secrets.Hash(string(text)), nil
}

// ProvenHost is the host that people may take the client for: that of its home page as the operator
// wrote it, or that of its metadata document, which was fetched from there. It is empty for a client
// that registered itself: nothing shows that the home page it names is its own.
func (c Client) ProvenHost() string {
	address := c.URI
	switch c.Source {
	case Registered:
		return ""
	case MetadataDocument:
		address = c.ID
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// IsDocument reports whether an id can be the URL of a metadata document: https, with a path
// without dot segments, and without a query. For other ids it costs one comparison.
func IsDocument(id string) bool {
	if !strings.HasPrefix(id, "https://") || len(id) > maxDocumentURL {
		return false
	}
	u, err := parseURI(id)
	return err == nil && validateWeb(u, id) == nil && len(u.Path) > 1 && u.RawQuery == "" && !u.ForceQuery &&
		!weburl.HasDotSegments(u.Path)
}

// maxDocumentURL is the longest URL of a metadata document: it is a client_id, which stands in
// tokens and in indexes of the database.
const maxDocumentURL = 512
