package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// Claims are what a minted token says (RFC 9068, section 2.2). Issuer, Subject, Audience, Expiry
// and IssuedAt are required; what is empty of the rest is left out.
type Claims struct {
	// Issuer and Subject are `iss` and `sub`.
	Issuer, Subject string
	// Audience is `aud`, written as a string when it is one word.
	Audience []string
	// Expiry and IssuedAt are `exp` and `iat`, cut to whole seconds; at most MaxLifetime apart.
	Expiry, IssuedAt time.Time
	// ID is `jti`. If there is one, it has at least 128 random bits.
	ID string
	// ClientID, Project and Session are `client_id`, `project` and `sid`.
	ClientID, Project, Session string
	// Scopes become `scope`, joined by spaces.
	Scopes []string
	// Extra are further claims. No name of theirs may be Reserved, whatever its case. Values are
	// strings, bools, integers, finite floats, Number or json.Number, nil, and lists ([]any,
	// []string) and maps (map[string]any) of these.
	Extra map[string]any
	// Protocol are claims with a protocol's meaning, such as `nonce` or `cnf`: set by the server's
	// own code and never from configuration. Their names are Reserved ones that have no field
	// above.
	Protocol map[string]any
}

// Mint returns a token of c signed with key. typ is its `typ`: at+jwt for access tokens (RFC 9068,
// section 2.1). What Verify would refuse is an error: a missing claim, a value that is no JSON,
// more than MaxSize bytes.
func Mint(key *keyring.Key, typ string, c Claims) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	d := drafts.Get().(*draft)
	defer d.release()
	if err := d.write(key, typ, &c); err != nil {
		return "", err
	}
	sign := key.Sign
	if c.ID != "" {
		sign = key.SignOnce
	}
	signature, err := sign(d.text)
	if err != nil {
		return "", err
	}
	d.text = append(d.text, '.')
	d.text = base64.RawURLEncoding.AppendEncode(d.text, signature)
	if len(d.text) > MaxSize {
		return "", fmt.Errorf("the token would have %d bytes, more than %d", len(d.text), MaxSize)
	}
	return string(d.text), nil
}

// draft is the memory of one minting, used again for the next. The pool drops idle ones, and with
// them their hold on a key.
type draft struct {
	payload []byte
	text    []byte // the token

	// text[:head] is the first segment of every token of this key and type. One is enough: few keys
	// sign at a time.
	key  *keyring.Key
	typ  string
	head int
}

var drafts = sync.Pool{New: func() any {
	return &draft{payload: make([]byte, 0, 2048), text: make([]byte, 0, 2048)}
}}

// release gives d back, unless something unusually large went through it.
func (d *draft) release() {
	if cap(d.payload) <= 2*MaxSize && cap(d.text) <= 2*MaxSize {
		drafts.Put(d)
	}
}

// write makes d.text the signing input: the first two segments with the dot between them.
func (d *draft) write(key *keyring.Key, typ string, c *Claims) error {
	if err := d.writeHeader(key, typ); err != nil {
		return err
	}
	payload, err := c.appendTo(d.payload[:0])
	if err != nil {
		return err
	}
	d.payload = payload
	if len(payload) > MaxSize { // a hopeless one is not even signed
		return fmt.Errorf("the claims have %d bytes, more than a token of %d holds", len(payload), MaxSize)
	}
	d.text = append(d.text[:d.head], '.')
	d.text = base64.RawURLEncoding.AppendEncode(d.text, payload)
	return nil
}

// writeHeader makes d.text[:d.head] the header of key and typ, which it is already after a token of
// the same two.
func (d *draft) writeHeader(key *keyring.Key, typ string) error {
	if d.key == key && d.typ == typ {
		return nil
	}
	header, err := appendHeader(nil, key, typ)
	if err != nil {
		return err
	}
	d.text = base64.RawURLEncoding.AppendEncode(d.text[:0], header)
	d.key, d.typ, d.head = key, typ, len(d.text)
	return nil
}

func (c *Claims) check() error {
	switch {
	case c.Issuer == "":
		return errors.New("claim iss is empty")
	case c.Subject == "":
		return errors.New("claim sub is empty")
	case len(c.Audience) == 0 || slices.Contains(c.Audience, ""):
		return errors.New("claim aud is empty or has an empty word")
	case !minted(c.IssuedAt):
		return errors.New("claim iat is missing or out of range")
	case !minted(c.Expiry):
		return errors.New("claim exp is missing or out of range")
	case !c.Expiry.After(c.IssuedAt):
		return errors.New("claim exp is not after iat")
	case c.Expiry.Sub(c.IssuedAt) > MaxLifetime:
		return fmt.Errorf("claim exp is more than %v after iat", MaxLifetime)
	}
	for _, s := range c.Scopes {
		if !scopeToken(s) {
			return fmt.Errorf("scope %q is not a scope token of RFC 6749", s)
		}
	}
	return nil
}

func minted(t time.Time) bool { return t.Unix() >= 1 && t.Unix() <= maxDate }

// scopeToken holds s against RFC 6749, section 3.3.
func scopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return s != ""
}

// checkExtra takes the names of Extra in order.
func checkExtra(names []string) error {
	odd := false
	for _, name := range names {
		folded := name
		if !plain(name) {
			folded, odd = fold(name), true
		}
		if name == "" {
			return errors.New("a claim has an empty name")
		}
		if isField(folded) || isProtocol(folded) {
			return fmt.Errorf("claim %q is reserved", name)
		}
	}
	if odd {
		return checkExtraFolding(names)
	}
	return nil
}

func checkExtraFolding(names []string) error {
	seen := make(map[string]string, len(names))
	for _, name := range names {
		folded := fold(name)
		if other, ok := seen[folded]; ok {
			return fmt.Errorf("claims %q and %q differ only by case", other, name)
		}
		seen[folded] = name
	}
	return nil
}

func appendHeader(dst []byte, key *keyring.Key, typ string) ([]byte, error) {
	o := object{text: dst}
	o.string(`{"alg":`, key.Algorithm())
	o.string(`,"kid":`, key.ID())
	o.string(`,"typ":`, typ)
	return o.end()
}

// appendTo writes the claims in a fixed order: those with a field as RFC 7519 lists them, then the
// rest by name. It refuses names that may not stand where they do, because it has them in order;
// the fields are checked before.
func (c *Claims) appendTo(dst []byte) ([]byte, error) {
	o := object{text: dst}
	o.string(`{"iss":`, c.Issuer)
	o.string(`,"sub":`, c.Subject)
	if len(c.Audience) == 1 {
		o.string(`,"aud":`, c.Audience[0])
	} else {
		o.value("aud", c.Audience)
	}
	o.integer(`,"exp":`, c.Expiry.Unix())
	o.integer(`,"iat":`, c.IssuedAt.Unix())
	o.string(`,"jti":`, c.ID)
	o.string(`,"client_id":`, c.ClientID)
	o.string(`,"project":`, c.Project)
	o.string(`,"sid":`, c.Session)
	o.scope(c.Scopes)
	o.protocol(c.Protocol)
	o.extra(c.Extra)
	return o.end()
}

// object writes one JSON object and keeps its first error. What its methods take as begin is a
// member up to its value, ready to be copied; the brace stands before the first member, which is
// never left out.
type object struct {
	text []byte
	err  error
}

// string writes a member, or nothing when s is empty.
func (o *object) string(begin, s string) {
	if s == "" {
		return
	}
	text, err := appendString(append(o.text, begin...), s)
	if err != nil {
		o.fail(fmt.Errorf("claim %s: %w", begin[len(`,"`):len(begin)-len(`":`)], err))
	}
	o.text = text
}

func (o *object) integer(begin string, n int64) {
	o.text = strconv.AppendInt(append(o.text, begin...), n, 10)
}

func (o *object) scope(scopes []string) {
	if len(scopes) == 0 {
		return
	}
	o.text = append(o.text, `,"scope":"`...)
	for i, s := range scopes {
		if i > 0 {
			o.text = append(o.text, ' ')
		}
		o.text = append(o.text, s...) // checked: nothing to escape
	}
	o.text = append(o.text, '"')
}

// protocol writes Claims.Protocol.
func (o *object) protocol(m map[string]any) {
	var room few
	for _, name := range sortedNames(room[:0], m) {
		if !isProtocol(name) {
			o.fail(fmt.Errorf("claim %q is not a protocol claim", name))
			return
		}
		o.value(name, m[name])
	}
}

// extra writes Claims.Extra.
func (o *object) extra(m map[string]any) {
	var room few
	names := sortedNames(room[:0], m)
	if err := checkExtra(names); err != nil {
		o.fail(err)
		return
	}
	for _, name := range names {
		o.value(name, m[name])
	}
}

// value writes a member that is not the first.
func (o *object) value(name string, v any) {
	text, err := appendString(append(o.text, ','), name)
	if err != nil {
		o.fail(fmt.Errorf("claim name: %w", err))
	}
	text, err = appendValue(append(text, ':'), v, maxClaimsDepth-1)
	if err != nil {
		o.fail(fmt.Errorf("claim %q: %w", name, err))
	}
	o.text = text
}

func (o *object) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

func (o *object) end() ([]byte, error) {
	return append(o.text, '}'), o.err
}
