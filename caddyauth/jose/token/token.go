package token

import (
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// Token is a verified token. It is immutable, decoded once, and shared between requests.
//
// What every use of a token looks at stands first, side by side: with many tokens in turn, each is
// far away in memory.
type Token struct {
	raw    string
	issuer *issuer

	revocationVersion atomic.Uint64
	derived           derivedValues

	// Key is the key that verified the token.
	Key *keyring.Key
	// IssuedAt, NotBefore and Expiry are `iat`, `nbf` and `exp`. The first two are zero when
	// absent.
	IssuedAt, NotBefore, Expiry NumericDate
	// Audience is `aud` as a list; never empty.
	Audience    []string
	oneAudience [1]string // what Audience has when it has one
	typ         int32     // which of the issuer's types
	bound       binding   // to what
	// Project is `project`, empty when absent and in tokens of foreign issuers, where that claim
	// means nothing to us.
	Project string

	// Subject is `sub`; never empty.
	Subject string
	// ID is `jti`, empty when absent.
	ID string
	// ClientID is `client_id`, empty when absent.
	ClientID string
	// Session is `sid`, empty when absent and in tokens of foreign issuers.
	Session string
	// Epoch is `epoch` of our own tokens, 0 when absent: the count of revocations when the token
	// was issued.
	Epoch int64
	// Scopes is `scope` split at its spaces, or `scp` of a foreign issuer that has no `scope`; nil
	// when absent.
	Scopes []string

	// The announced claims without a field. Texts are most of them, and take no box of their own. The
	// first are jktName and x5tName in a token that is bound to a key or a certificate, as few are.
	texts    []textClaim
	fewTexts [4]textClaim // what texts has when they are few: no object of its own for the collector
	others   []other
}

// textClaim is a claim that has no field in Token and is a text.
type textClaim struct{ name, text string }

// other is a claim that has no field in Token and is no text.
type other struct {
	name  string
	value any
}

// Raw returns the compact text that was verified. It is a credential.
func (t *Token) Raw() string { return t.raw }

// jktName and x5tName are what the texts have JKT and X5T under: no claims that a configuration can
// announce.
const (
	jktName = "\x00cnf.jkt"
	x5tName = "\x00cnf.x5t#S256"
)

// binding says what a token is bound to; 0 is nothing.
type binding uint8

const (
	boundToKey binding = 1 << iota
	boundToCertificate
)

// Type returns `typ` in lower case and without `application/`; OpaqueType for a token that was read
// by FromClaims.
func (t *Token) Type() string {
	if t.issuer == nil {
		return ""
	}
	return t.issuer.types[t.typ]
}

// Bound reports whether the token is bound to a key, to a certificate, or to both. Whoever lets such
// a token pass has the presenter prove that they have what it is bound to. It is said without a look
// at the texts, which stand elsewhere.
func (t *Token) Bound() bool { return t.bound != 0 }

// JKT returns the thumbprint of the key that the token is bound to, `cnf.jkt` (RFC 9449, section
// 6.1); empty when it is bound to none.
func (t *Token) JKT() string {
	if t.bound&boundToKey == 0 {
		return ""
	}
	return t.texts[0].text
}

// X5T returns the thumbprint of the TLS client certificate that the token is bound to,
// `cnf.x5t#S256` (RFC 8705, section 3.1); empty when it is bound to none.
func (t *Token) X5T() string {
	switch t.bound {
	case boundToCertificate:
		return t.texts[0].text
	case boundToKey | boundToCertificate:
		return t.texts[1].text
	}
	return ""
}

// Confirmation is the claim `cnf` of a token that is bound to a key (RFC 9449, section 6.1) and to a
// certificate (RFC 8705, section 3.1) with these thumbprints; nil for neither.
func Confirmation(jkt, x5t string) map[string]any {
	if jkt == "" && x5t == "" {
		return nil
	}
	cnf := make(map[string]any, 2)
	if jkt != "" {
		cnf["jkt"] = jkt
	}
	if x5t != "" {
		cnf["x5t#S256"] = x5t
	}
	return cnf
}

// Issuer returns `iss`, the name of an accepted issuer.
func (t *Token) Issuer() string {
	if t.issuer == nil {
		return ""
	}
	return t.issuer.name
}

// Own reports whether the token is of an issuer that the Verifier holds for our own.
func (t *Token) Own() bool { return t.issuer != nil && t.issuer.own }

// HasAudience reports whether `aud` has at least one of words.
func (t *Token) HasAudience(words ...string) bool {
	return slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(words, a) })
}

// Claim returns a claim by its exact name or, where there is none of that name, by a dotted path
// into objects (`realm_access.roles`); lists are not entered. A name with dots of its own may start
// a path, and the longest fits first. The value is a string, bool, Number, []any, map[string]any or
// nil, and must not be modified. A lone `aud` is a string, several are a list, whichever way the
// token wrote it; `scope` is the Scopes joined by spaces. `project`, `sid` and `epoch` are absent
// in tokens of foreign issuers.
func (t *Token) Claim(path string) (any, bool) {
	if v, ok := t.field(path); ok {
		return v, true
	}
	if v, ok := t.other(path); ok {
		return v, true
	}
	return walk(path, t.other)
}

// other returns a claim without a field.
func (t *Token) other(name string) (any, bool) {
	if !t.Own() && isOurs(name) {
		return nil, false
	}
	if text, ok := t.keptText(name); ok {
		return text, true
	}
	for i := range t.others {
		if t.others[i].name == name {
			return t.others[i].value, true
		}
	}
	if t.issuer.keeps(name) {
		return nil, false
	}
	return t.unannounced(name)
}

// walk resolves a dotted path whose first part get knows. The longest first part that leads to a
// value wins.
func walk(path string, get func(string) (any, bool)) (any, bool) {
	for i := strings.LastIndexByte(path, '.'); i >= 0; i = strings.LastIndexByte(path[:i], '.') {
		v, _ := get(path[:i])
		object, ok := v.(map[string]any)
		if !ok {
			continue
		}
		if found, ok := lookup(object, path[i+1:]); ok {
			return found, true
		}
	}
	return nil, false
}

func lookup(object map[string]any, path string) (any, bool) {
	if v, ok := object[path]; ok {
		return v, true
	}
	return walk(path, func(name string) (any, bool) { v, ok := object[name]; return v, ok })
}

// field returns a claim that stands in a field of t.
func (t *Token) field(name string) (any, bool) {
	if s := t.textField(name); s != "" {
		return s, true
	}
	switch name {
	case "aud":
		return audience(t.Audience)
	case "scope":
		return strings.Join(t.Scopes, " "), t.Scopes != nil
	case "exp":
		return t.Expiry.number(), t.Expiry != 0
	case "nbf":
		return t.NotBefore.number(), t.NotBefore != 0
	case "iat":
		return t.IssuedAt.number(), t.IssuedAt != 0
	case "cnf":
		return Confirmation(t.JKT(), t.X5T()), t.Bound()
	}
	return nil, false
}

// textField returns a claim whose field is a text, empty when it is absent or another.
func (t *Token) textField(name string) string {
	switch name {
	case "iss":
		return t.Issuer()
	case "sub":
		return t.Subject
	case "jti":
		return t.ID
	case "client_id":
		return t.ClientID
	case "project":
		return t.Project
	case "sid":
		return t.Session
	}
	return ""
}

// Text returns a claim that is a text, for callers who ask on every request: it allocates nothing.
// It knows exact names of claims that were announced (Verifier.Keep) or have a field; of any other,
// ok is false and Claim may know more.
func (t *Token) Text(name string) (text string, ok bool) {
	if text = t.textField(name); text != "" {
		return text, true
	}
	return t.keptText(name)
}

// keptText returns an announced claim that is a text.
func (t *Token) keptText(name string) (text string, ok bool) {
	for i := range t.texts {
		if t.texts[i].name == name {
			return t.texts[i].text, true
		}
	}
	return "", false
}

func audience(words []string) (any, bool) {
	if len(words) == 1 {
		return words[0], true
	}
	list := make([]any, len(words))
	for i, w := range words {
		list[i] = w
	}
	return list, len(words) > 0
}

// Strings returns a claim's value as the words that policies and headers compare: a string is
// itself, a Number its digits, a bool `true` or `false`, a list the words of its scalar elements.
// Objects, null and anything else, also as elements of a list, have none.
func Strings(v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	words := make([]string, 0, len(list))
	for _, element := range list {
		switch e := element.(type) {
		case string:
			words = append(words, e)
		case Number:
			words = append(words, string(e))
		case bool:
			words = append(words, strconv.FormatBool(e))
		}
	}
	return words
}
