package project

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Default is the slug of the project that always exists, and that everything belongs to which names
// none.
const Default = "default"

// Project is a tenant: its own users, clients, lifetimes and flags. Its tokens carry the slug in
// the claim `project`, which is why the slug never changes. A zero option inherits the server's.
type Project struct {
	// ID is a UUID, different in every store.
	ID string

	// Slug names the project in addresses, tokens and the Caddyfile.
	Slug string

	// Name is what people read. Default: the slug.
	Name string

	// Active projects issue tokens; a paused one issues nothing, and what it had issued is revoked.
	Active bool

	// Declared projects stand in the Caddyfile. The API changes their Override alone.
	Declared bool

	// Audiences are the audience words that the project's tokens may be issued for. Default: those
	// of the server.
	Audiences []string

	// Lifetimes are the declared ones.
	Lifetimes Lifetimes

	// Override are the lifetimes set through the API. They go over the declared ones and survive a
	// reload.
	Override Lifetimes

	// RefreshWindow is how long before its end a browser's access token is renewed; 1s to 24h.
	// Default: the server's.
	RefreshWindow time.Duration

	// RefreshCheck is how often a page asks whether it is time to renew; 1s to 24h. Default: the
	// server's.
	RefreshCheck time.Duration

	// TokenOptions are the project's own. Default: those of the server.
	TokenOptions

	// RevocationOptions are the project's own. Default: those of the server.
	RevocationOptions

	// Version counts the changes, from 1.
	Version int64

	// Created and Changed are when the project was added and last changed.
	Created, Changed time.Time
}

// Own returns the project's own lifetimes: those set through the API over the declared ones.
func (p Project) Own() Lifetimes { return p.Override.Over(p.Lifetimes) }

const (
	maxName     = 200 // bytes
	maxWord     = 255 // bytes
	maxWords    = 100
	maxWindow   = 24 * time.Hour
	leastWindow = time.Second
)

var (
	slugForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// NewID returns a random UUID (RFC 9562, version 4).
func NewID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// ValidateSlug refuses what cannot name a project: other than 1 to 63 lower-case letters, digits
// and inner hyphens, or a UUID, which would be taken for an id.
func ValidateSlug(slug string) error {
	if !slugForm.MatchString(slug) {
		return fmt.Errorf("slug: %.70q is not 1 to 63 lower-case letters, digits and inner hyphens", slug)
	}
	if uuidForm.MatchString(slug) {
		return fmt.Errorf("slug: %q has the form of an id", slug)
	}
	return nil
}

// Validate refuses a project that cannot be; the error names the field, the value and the limit.
func (p Project) Validate() error {
	return errors.Join(
		ValidateSlug(p.Slug), ValidateName(p.Name), ValidateWords("audiences", p.Audiences),
		validateWindow("refresh_window", p.RefreshWindow), validateWindow("refresh_check", p.RefreshCheck),
		p.TokenOptions.Validate(),
	)
}

// ValidateName refuses a name above 200 bytes or with control characters.
func ValidateName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("name: %d bytes are above the limit of %d", len(name), maxName)
	}
	if strings.ContainsFunc(name, isControl) {
		return errors.New("name: it holds a control character")
	}
	return nil
}

// isControl reports whether a character of a name would change how a page or a line shows what stands
// around it: also those that change the direction of writing, and separators of lines.
func isControl(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.In(r, unicode.Zl, unicode.Zp)
}

func validateWindow(name string, d time.Duration) error {
	if d == 0 {
		return nil
	}
	return ValidateWithin(name, d, leastWindow, maxWindow)
}

// ValidateWords refuses lists of audience words or scopes (RFC 6749, section 3.3) that hold more
// than 100 of them, one twice, or one that is not 1 to 255 visible ASCII characters without quotes,
// backslashes and commas. field is what the error names.
func ValidateWords(field string, words []string) error {
	if len(words) > maxWords {
		return fmt.Errorf("%s: %d words are above the limit of %d", field, len(words), maxWords)
	}
	seen := make(map[string]bool, len(words))
	for _, w := range words {
		if !isWord(w) {
			return fmt.Errorf("%s: %.70q is not a word of 1 to %d visible ASCII characters without quotes, "+
				"backslashes and commas", field, w, maxWord)
		}
		if seen[w] {
			return fmt.Errorf("%s: duplicate %q", field, w)
		}
		seen[w] = true
	}
	return nil
}

func isWord(w string) bool {
	return w != "" && len(w) <= maxWord && !strings.ContainsFunc(w, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`",\`, r)
	})
}
