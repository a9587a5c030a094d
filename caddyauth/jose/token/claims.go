package token

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// claim says which of the claims with a field of their own a member is.
type claim uint8

const (
	claimOther claim = iota
	claimIssuer
	claimSubject
	claimAudience
	claimExpiry
	claimNotBefore
	claimIssuedAt
	claimID
	claimClient
	claimProject
	claimSession
	claimScope
	claimForeignScope
	claimEpoch
	claimConfirmation
	claimMeaningless // one of ours in a token of another issuer
)

// announced are the names of the claims that tokens keep, each under itself, so that all tokens
// share one text. Nil means all.
type announced map[string]string

func (a announced) has(name string) bool { return a == nil || a[name] != "" }

// shared returns the text of a name that is announced.
func (a announced) shared(name []byte) string {
	if known := a[string(name)]; known != "" {
		return known
	}
	return string(name)
}

// builds says which nested values are built: those that stay, and the lists that have a field.
func (a announced) builds(name []byte) bool {
	return a == nil || a[string(name)] != "" || string(name) == "aud" || string(name) == "scp" ||
		string(name) == "cnf"
}

func claimOf(name []byte, own bool) claim {
	switch string(name) {
	case "iss":
		return claimIssuer
	case "sub":
		return claimSubject
	case "aud":
		return claimAudience
	case "exp":
		return claimExpiry
	case "nbf":
		return claimNotBefore
	case "iat":
		return claimIssuedAt
	case "jti":
		return claimID
	case "client_id":
		return claimClient
	case "scope":
		return claimScope
	case "cnf":
		return claimConfirmation
	case "project":
		return ours(claimProject, own)
	case "sid":
		return ours(claimSession, own)
	case "epoch":
		return ours(claimEpoch, own)
	case "scp":
		if !own {
			return claimForeignScope
		}
	}
	return claimOther
}

// ours is a claim whose meaning is ours: another issuer does not know our projects, sessions and
// orders.
func ours(c claim, own bool) claim {
	if own {
		return c
	}
	return claimMeaningless
}

// scanClaims makes s.members those of the payload. Only the form of the JSON is checked here, so
// that it may be done before the signature is verified.
func (s *scratch) scanClaims(payload []byte, kept announced) error {
	if s.claims {
		return nil
	}
	if err := s.scan(payload, maxClaimsDepth, kept.builds); err != nil {
		return refuse(Malformed, "claims: "+err.Error())
	}
	if err := checkFolding(s.members, Reserved); err != nil {
		return refuse(Malformed, "claims: "+err.Error())
	}
	s.claims = true
	return nil
}

// issuer returns `iss` of the payload.
func (s *scratch) issuer(payload []byte, kept announced) ([]byte, error) {
	if err := s.scanClaims(payload, kept); err != nil {
		return nil, err
	}
	for i := range s.members {
		m := &s.members[i]
		if string(m.name) != "iss" {
			continue
		}
		if m.kind != '"' || len(m.value) == len(`""`) {
			return nil, refuse(Malformed, "claim iss is not a non-empty string")
		}
		return unquote(m.value), nil
	}
	return nil, refuse(Malformed, "claim iss is missing")
}

// newToken makes t the token of the scanned claims. All its text outside nested values is one
// allocation: raw, followed by the texts of the claims.
func (s *scratch) newToken(t *Token, raw string) error {
	var text strings.Builder
	size, texts, others := s.measure(t.issuer)
	text.Grow(len(raw) + size)
	text.WriteString(raw)
	t.raw = text.String()
	if texts > 0 {
		if t.texts = t.fewTexts[:0]; texts > len(t.fewTexts) {
			t.texts = make([]textClaim, 0, texts)
		}
	}
	if others > 0 {
		t.others = make([]other, 0, others)
	}
	var foreignScope *member
	for i := range s.members {
		m := &s.members[i]
		if err := t.take(m, &text); err != nil {
			return err
		}
		if m.claim == claimForeignScope {
			foreignScope = m
		}
	}
	if foreignScope != nil && t.Scopes == nil {
		return t.completeScope(foreignScope, &text)
	}
	return t.complete()
}

// measure marks each member with its claim, and returns how many bytes of text the members need and
// how many are kept as texts and as others.
func (s *scratch) measure(iss *issuer) (size, texts, others int) {
	for i := range s.members {
		m := &s.members[i]
		m.claim = claimOf(m.name, iss.own)
		m.keep = m.claim.fieldless() && iss.kept.has(string(m.name))
		switch {
		case m.keep && m.kind == '"':
			texts++
		case m.keep:
			others++
		}
		switch kept := m.keep || m.claim.ownText(); {
		case kept && m.kind == '"':
			size += len(m.value) - len(`""`)
		case kept && m.kind == '0':
			size += len(m.value)
		}
	}
	return size, texts, others
}

// fieldless says that Claim finds it nowhere but in the text, unless it is kept.
func (c claim) fieldless() bool { return c == claimOther || c == claimForeignScope || c == claimEpoch }

// ownText says that each token has a text of its own for it, where it is one.
func (c claim) ownText() bool {
	switch c {
	case claimSubject, claimAudience, claimID, claimClient, claimProject, claimSession, claimScope, claimForeignScope:
		return true
	}
	return false
}

func (t *Token) take(m *member, text *strings.Builder) (err error) {
	switch m.claim {
	case claimSubject:
		t.Subject, err = takeString(m, text)
	case claimAudience:
		err = t.takeAudience(m, text)
	case claimExpiry:
		t.Expiry, err = takeDate(m)
	case claimNotBefore:
		t.NotBefore, err = takeDate(m)
	case claimIssuedAt:
		t.IssuedAt, err = takeDate(m)
	case claimID:
		t.ID, err = takeString(m, text)
	case claimClient:
		t.ClientID, err = takeString(m, text)
	case claimProject:
		t.Project, err = takeString(m, text)
	case claimSession:
		t.Session, err = takeString(m, text)
	case claimScope:
		t.Scopes, err = takeScope(m, text)
	case claimEpoch:
		t.Epoch, err = takeEpoch(m)
	case claimConfirmation:
		err = t.takeConfirmation(m)
	}
	if m.keep {
		t.keep(m, text)
	}
	return err
}

// complete refuses what lacks a claim.
func (t *Token) complete() error {
	switch {
	case t.Subject == "":
		return refuse(Malformed, "claim sub is missing")
	case t.Expiry == 0:
		return refuse(Malformed, "claim exp is missing")
	case len(t.Audience) == 0:
		return refuse(WrongAudience, "claim aud is missing or empty")
	}
	return nil
}

// completeScope reads `scp`, which some issuers write instead of `scope`.
func (t *Token) completeScope(m *member, text *strings.Builder) error {
	if err := t.complete(); err != nil {
		return err
	}
	if m.kind == '"' {
		t.Scopes = splitScope(keep(text, unquote(m.value)))
		return nil
	}
	var ok bool
	if list, isList := m.nested.([]any); isList {
		t.Scopes, ok = nonEmptyStrings(list)
	}
	if !ok {
		return refuse(Malformed, "claim scp is not a string or a list of strings")
	}
	return nil
}

// keep appends p to text and returns it as a string that shares text's memory.
func keep(text *strings.Builder, p []byte) string {
	start := text.Len()
	text.Write(p)
	return text.String()[start:]
}

func takeString(m *member, text *strings.Builder) (string, error) {
	if m.kind != '"' || len(m.value) == len(`""`) {
		return "", refuse(Malformed, "claim "+string(m.name)+" is not a non-empty string")
	}
	return keep(text, unquote(m.value)), nil
}

// keep keeps a claim that has no field.
func (t *Token) keep(m *member, text *strings.Builder) {
	name := t.issuer.kept.shared(m.name)
	switch m.kind {
	case '"':
		t.texts = append(t.texts, textClaim{name, keep(text, unquote(m.value))})
	case '0':
		t.others = append(t.others, other{name, Number(keep(text, m.value))})
	default:
		t.others = append(t.others, other{name, m.any()})
	}
}

// takeConfirmation reads the thumbprints of what a token is bound to: of a key, in our own tokens
// (RFC 9449, section 6.1), and of a TLS client certificate (RFC 8705, section 3.1). A token that is
// bound in another way is refused (RFC 7800): whoever presents it must prove to have what it is bound
// to, and nothing here checks that proof. Null binds it to nothing.
func (t *Token) takeConfirmation(m *member) error {
	if m.kind == 'n' {
		return nil
	}
	cnf, _ := m.nested.(map[string]any)
	var texts []textClaim
	var bound binding
	if jkt, ok := cnf["jkt"].(string); ok && t.Own() && keyring.IsThumbprint(jkt) {
		texts, bound = append(texts, textClaim{jktName, jkt}), boundToKey
	}
	if x5t, ok := cnf["x5t#S256"].(string); ok && t.issuer.certificates && keyring.IsThumbprint(x5t) {
		texts, bound = append(texts, textClaim{x5tName, x5t}), bound|boundToCertificate
	}
	if len(texts) == 0 || len(texts) != len(cnf) {
		return refuse(WrongType, "the token is bound to a key (cnf) in a way that is not supported")
	}
	t.texts, t.bound = slices.Insert(t.texts, 0, texts...), bound
	return nil
}

// takeEpoch reads the claim that our own tokens carry for revocation.
func takeEpoch(m *member) (epoch int64, err error) {
	if m.kind == '0' {
		epoch, err = strconv.ParseInt(string(m.value), 10, 64)
	}
	if m.kind != '0' || err != nil {
		return 0, refuse(Malformed, "claim epoch is not an integer")
	}
	return epoch, nil
}

// takeAudience reads `aud`: one string or a list of them (RFC 7519, section 4.1.3).
func (t *Token) takeAudience(m *member, text *strings.Builder) (err error) {
	if list, ok := m.nested.([]any); ok {
		if t.Audience, ok = nonEmptyStrings(list); !ok {
			return refuse(Malformed, "claim aud is not a string or a list of strings")
		}
		return nil
	}
	if t.oneAudience[0], err = takeString(m, text); err == nil {
		t.Audience = t.oneAudience[:]
	}
	return err
}

func takeScope(m *member, text *strings.Builder) ([]string, error) {
	if m.kind != '"' {
		return nil, refuse(Malformed, "claim scope is not a string")
	}
	return splitScope(keep(text, unquote(m.value))), nil
}

// splitScope splits at spaces and at nothing else (RFC 6749, section 3.3).
func splitScope(s string) []string {
	scopes := make([]string, 0, strings.Count(s, " ")+1)
	for word := range strings.SplitSeq(s, " ") {
		if word != "" {
			scopes = append(scopes, word)
		}
	}
	return scopes
}

func nonEmptyStrings(list []any) ([]string, bool) {
	words := make([]string, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok || s == "" {
			return nil, false
		}
		words[i] = s
	}
	return words, true
}
