package consent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

// ErrNotFound says that there is no such consent.
var ErrNotFound = errors.New("no such consent")

// Consent is what one person has allowed one client.
type Consent struct {
	// ID is a UUID, different in every store.
	ID string

	// Project is the slug of the project that both belong to.
	Project string

	// UserID is the id of the person, User their name. The name is not stored.
	UserID, User string

	// ClientID is whom they have allowed it.
	ClientID string

	// Scopes and Resources are what was allowed, each in the order of the alphabet. Among the scopes
	// are single claims, as Claim writes them, places, as Place does, and scopes that were allowed at
	// one resource or place alone, as At does.
	Scopes, Resources []string

	// Since is when the person was asked last.
	Since time.Time
}

// claimPrefix holds a space, which no scope can (RFC 6749, section 3.3).
const claimPrefix = "claim "

// Claim is what stands among the scopes for a single claim that was asked for by the parameter
// `claims` (OpenID Connect Core, section 5.5).
func Claim(name string) string { return claimPrefix + name }

// ClaimOf returns the name of a single claim; false for a scope.
func ClaimOf(word string) (name string, ok bool) { return strings.CutPrefix(word, claimPrefix) }

// placePrefix holds a space, too.
const placePrefix = "place "

// Place is what stands among the scopes for a place where the answer goes: of a client that has
// described itself the person knows nothing else.
func Place(name string) string { return placePrefix + name }

// IsPlace reports whether a word is that of a place.
func IsPlace(word string) bool { return strings.HasPrefix(word, placePrefix) }

// atPrefix holds a space, too.
const atPrefix = "at "

// At is what stands among the scopes for a word that was allowed at one target alone: a resource, or
// the place where the answer of a client that has described itself goes. Whoever lets a client read at
// one resource and write at another has not let it write at the first. An empty target is none.
func At(target, word string) string {
	if target == "" {
		return word
	}
	return atPrefix + target + " " + word
}

// Covers reports whether the person has allowed all of these words.
func (c Consent) Covers(words ...string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !slices.Contains(c.Scopes, word) })
}

// ScopesAt are the words that were allowed at a target; of an empty one all that stand for themselves.
func (c Consent) ScopesAt(target string) (words []string) {
	for _, word := range c.Scopes {
		if rest, ok := strings.CutPrefix(word, At(target, "")); ok {
			words = append(words, rest)
		}
	}
	return words
}

// With returns the consent after the person has allowed more at a time.
func (c Consent) With(scopes, resources []string, now time.Time) Consent {
	c.Scopes, c.Resources, c.Since = union(c.Scopes, scopes), union(c.Resources, resources), now
	return c
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// Filter chooses consents to list. An empty field chooses all.
type Filter struct {
	Project, UserID, ClientID string

	// ID chooses one consent.
	ID string

	// After is the id of the last consent of the page before.
	After string

	// Limit is how many to return at most. Required.
	Limit int
}

// Store keeps consents. Every method is one atomic step; times are kept in milliseconds.
type Store interface {
	// FindConsent returns what a person has allowed a client, or ErrNotFound.
	FindConsent(ctx context.Context, userID, clientID string) (Consent, error)

	// GiveConsent adds the scopes and resources of c to what the person had allowed the client. ID
	// and User are not read. ErrNotFound when the person does not exist.
	GiveConsent(ctx context.Context, c Consent) error

	// ListConsents returns the chosen consents in the order of their ids, with the names of the
	// people.
	ListConsents(ctx context.Context, f Filter) ([]Consent, error)

	// WithdrawConsent removes a consent, ends what the client has been granted by that person, and
	// returns a denial of each. ErrNotFound.
	WithdrawConsent(ctx context.Context, id string, now time.Time) ([]revocation.Denial, error)
}

// Service withdraws consents.
type Service struct {
	Store

	// DenyList learns at once what this node revokes. Default: it learns from the store.
	DenyList *revocation.DenyList
}

// Withdraw removes a consent, and ends and denies what the client has been granted by that person.
// An access token without a session lives until it expires. ErrNotFound.
func (s *Service) Withdraw(ctx context.Context, id string, now time.Time) error {
	denials, err := s.Store.WithdrawConsent(ctx, id, now.UTC().Truncate(time.Millisecond))
	if err == nil && s.DenyList != nil {
		s.DenyList.Add(denials...)
	}
	return err
}
