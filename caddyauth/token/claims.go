package token

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/keyring"
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
)

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
	case "sid":
		return claimSession
	case "scope":
		return claimScope
	case "project":
		if own { // a foreign issuer does not know our projects
			return claimProject
		}
	}
	return claimOther
}

// scanClaims makes s.members those of the payload. Only the form of the JSON is checked here, so that it may be done
// before the signature is verified.
func (s *scratch) scanClaims(payload []byte) error {
	if s.claims {
		return nil
	}
	if err := s.scan(payload, maxClaimsDepth, true); err != nil {
		return refuse(Malformed, "claims: "+err.Error())
	}
	if err := checkFolding(s.members, Reserved); err != nil {
		return refuse(Malformed, "claims: "+err.Error())
	}
	s.claims = true
	return nil
}

// issuer returns `iss` of the payload.
func (s *scratch) issuer(payload []byte) ([]byte, error) {
	if err := s.scanClaims(payload); err != nil {
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

// newToken builds the token of the scanned claims. All text of it that is no nested value is one allocation.
func (s *scratch) newToken(raw string, iss *issuer, key *keyring.Key, typ string) (*Token, error) {
	var text strings.Builder
	size, others := s.measure(iss.own)
	text.Grow(size)
	t := &Token{
		Issuer: iss.name, KeyID: key.ID(), Algorithm: key.Algorithm(), Type: typ, Key: key,
		raw: raw, issuer: iss,
	}
	if others > 0 {
		t.others = make([]other, 0, others)
	}
	for i := range s.members {
		if err := t.take(&s.members[i], &text); err != nil {
			return nil, err
		}
	}
	if err := t.complete(); err != nil {
		return nil, err
	}
	return t, nil
}

// measure marks each member with its claim, and returns how many bytes of text they need and how many have no field.
func (s *scratch) measure(own bool) (size, others int) {
	for i := range s.members {
		m := &s.members[i]
		switch m.claim = claimOf(m.name, own); m.claim {
		case claimIssuer, claimExpiry, claimNotBefore, claimIssuedAt:
			continue
		case claimOther:
			others++
			size += len(m.name)
		}
		if m.kind == '"' || m.kind == '0' {
			size += len(m.value)
		}
	}
	return size, others
}

func (t *Token) take(m *member, text *strings.Builder) (err error) {
	switch m.claim {
	case claimSubject:
		t.Subject, err = takeString(m, text)
	case claimAudience:
		t.Audience, err = takeAudience(m, text)
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
	case claimOther:
		t.others = append(t.others, other{name: keep(text, m.name), value: takeOther(m, text)})
	}
	return err
}

// readEpoch reads the claim that our own tokens carry for revocation.
func (t *Token) readEpoch() (err error) {
	value, ok := t.other("epoch")
	if !ok {
		return nil
	}
	digits, _ := value.(Number)
	if t.Epoch, err = strconv.ParseInt(string(digits), 10, 64); err != nil {
		return refuse(Malformed, "claim epoch is not an integer")
	}
	return nil
}

// complete refuses what lacks a claim, and reads `scp`, which some issuers write instead of `scope`.
func (t *Token) complete() error {
	switch {
	case t.Subject == "":
		return refuse(Malformed, "claim sub is missing")
	case t.Expiry.IsZero():
		return refuse(Malformed, "claim exp is missing")
	case len(t.Audience) == 0:
		return refuse(WrongAudience, "claim aud names nobody")
	}
	if t.issuer.own {
		return t.readEpoch()
	}
	if t.Scopes != nil {
		return nil
	}
	i := slices.IndexFunc(t.others, func(o other) bool { return o.name == "scp" })
	if i < 0 {
		return nil
	}
	switch v := t.others[i].value.(type) {
	case string:
		t.Scopes = splitScope(v)
		return nil
	case []any:
		var ok bool
		if t.Scopes, ok = nonEmptyStrings(v); ok {
			return nil
		}
	}
	return refuse(Malformed, "claim scp is not a string or a list of strings")
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

func takeOther(m *member, text *strings.Builder) any {
	switch m.kind {
	case '"':
		return keep(text, unquote(m.value))
	case '0':
		return Number(keep(text, m.value))
	}
	return m.any()
}

// takeAudience reads `aud`: one string or a list of them (RFC 7519, section 4.1.3).
func takeAudience(m *member, text *strings.Builder) ([]string, error) {
	if list, ok := m.nested.([]any); ok {
		if words, ok := nonEmptyStrings(list); ok {
			return words, nil
		}
		return nil, refuse(Malformed, "claim aud is not a string or a list of strings")
	}
	word, err := takeString(m, text)
	if err != nil {
		return nil, err
	}
	return []string{word}, nil
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
