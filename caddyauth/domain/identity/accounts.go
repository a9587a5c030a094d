package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// What a UserStore answers when a verb cannot be carried out, beside ErrNoUser. Every other error
// means that the store could not be asked.
var (
	// ErrNameTaken says that a user of that project has the same canonical name.
	ErrNameTaken = errors.New("the name is taken")

	// ErrUserChanged says that another caller has changed the user: the row no longer has the version
	// that the change is for.
	ErrUserChanged = errors.New("the user was changed meanwhile")

	// ErrUserDeclared says that the Caddyfile declares the user, who cannot be removed here.
	ErrUserDeclared = errors.New("the Caddyfile declares the user")

	// ErrNoSuchProject says that the project of a new user does not exist.
	ErrNoSuchProject = errors.New("no such project")
)

// UserPage is a part of the list of users, who are ordered by project and canonical name.
type UserPage struct {
	// Project selects the users of one project. Default: all.
	Project string

	// AfterProject and AfterName are the project and the canonical name of the last user of the
	// page before. Default: the list begins.
	AfterProject, AfterName string

	// Limit is how many users to return at most. Required.
	Limit int
}

// UserStore keeps users. Every verb is one atomic step; times are kept in milliseconds, and numbers
// in claims come back as json.Number. A user of a project that is paused is found like any other:
// whoever issues asks for the project too.
type UserStore interface {
	Directory

	// AddUser stores a new user as version 1; the time of Created is the time of all that follows.
	// ErrNameTaken, ErrNoSuchProject, and ErrBadName for a name without a canonical form.
	AddUser(ctx context.Context, u User) error

	// FindUserByID returns the user of that id, or ErrNoUser.
	FindUserByID(ctx context.Context, id string) (*User, error)

	// ListUsers returns users by project and canonical name.
	ListUsers(ctx context.Context, page UserPage) ([]User, error)

	// ChangeUser stores whether u is disabled and u's claims if the user of that id still has
	// u.Version, and returns the user with the new version. Nothing else changes. Other claims deny
	// the access tokens that were made before, in the same step; sessions go on. ErrNoUser,
	// ErrUserChanged.
	ChangeUser(ctx context.Context, u User, now time.Time) (*User, error)

	// SetPassword stores a hash if the user has that version (0: any), and returns the user with
	// the new version. An empty hash takes the password away. ErrNoUser, ErrUserChanged.
	SetPassword(ctx context.Context, id string, version int64, hash string, now time.Time) (*User, error)

	// RemoveUser removes a user who has that version (0: any). ErrNoUser, ErrUserChanged,
	// ErrUserDeclared. Whatever was issued must have been revoked before.
	RemoveUser(ctx context.Context, id string, version int64) error
}

// Limits of the claims of a user or client.
const (
	maxClaims      = 64
	maxClaimName   = 128     // bytes
	maxClaimsText  = 4 << 10 // bytes of JSON: all of them travel with every request
	maxClaimsDepth = 8
)

// ValidateClaims refuses claims that no user or client may have: reserved names (token.Reserved),
// names that differ by case only, more than 64 of them, names over 128 bytes, more than 4 KiB of
// JSON, values nested deeper than 8. The error names the claim and the limit.
func ValidateClaims(claims map[string]any) error {
	if len(claims) > maxClaims {
		return fmt.Errorf("claims: %d are above the limit of %d", len(claims), maxClaims)
	}
	names := make(map[string]string, len(claims))
	for name, value := range claims {
		if err := checkClaim(name, value); err != nil {
			return err
		}
		folded := strings.ToLower(strings.ToUpper(name))
		if other, ok := names[folded]; ok {
			return fmt.Errorf("claims: %q and %q differ only by case", min(name, other), max(name, other))
		}
		names[folded] = name
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return errors.New("claims: a value cannot be written as JSON")
	}
	if len(text) > maxClaimsText {
		return fmt.Errorf("claims: %d bytes of JSON are above the limit of %d", len(text), maxClaimsText)
	}
	return nil
}

func checkClaim(name string, value any) error {
	switch {
	case name == "":
		return errors.New("claims: a name is empty")
	case len(name) > maxClaimName:
		return fmt.Errorf("claims: a name of %d bytes is above the limit of %d", len(name), maxClaimName)
	case token.Reserved(name):
		return fmt.Errorf("claims: %q is reserved and cannot be set", name)
	case deeper(value, maxClaimsDepth):
		return fmt.Errorf("claims: %q is nested deeper than the limit of %d", name, maxClaimsDepth)
	}
	if n, ok := outOfRange(value); ok {
		return fmt.Errorf("claims: %q: the number %.40s is out of range", name, n)
	}
	return nil
}

// outOfRange finds a number that is too large for binary64, in which many readers of tokens keep numbers
// (RFC 8259, section 6): some refuse the whole token for it.
func outOfRange(value any) (n json.Number, ok bool) {
	switch v := value.(type) {
	case json.Number:
		_, err := v.Float64()
		return v, err != nil
	case map[string]any:
		for _, element := range v {
			if n, ok = outOfRange(element); ok {
				return n, true
			}
		}
	case []any:
		for _, element := range v {
			if n, ok = outOfRange(element); ok {
				return n, true
			}
		}
	}
	return "", false
}

// deeper reports whether a value has more than depth levels.
func deeper(value any, depth int) bool {
	if depth == 0 {
		return true
	}
	switch v := value.(type) {
	case map[string]any:
		for _, element := range v {
			if deeper(element, depth-1) {
				return true
			}
		}
	case []any:
		for _, element := range v {
			if deeper(element, depth-1) {
				return true
			}
		}
	}
	return false
}
