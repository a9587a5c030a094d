package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/web/egress"
)

// maxAnswer is the largest answer that is read, in bytes; the claims in it may have token.MaxSize.
const maxAnswer = token.MaxSize

// Foreign asks the introspection endpoint of a trusted issuer about its opaque tokens (RFC 7662).
// What it answers is what a gate judges: `sub`, `aud` and `exp` must be in it, as in a JWT of that
// issuer. It may be used by many goroutines.
//
// A token does not tell whose it is, and whoever is asked about it learns it. It should be asked
// about tokens only where this issuer is the only one whose opaque tokens are accepted.
type Foreign struct {
	// Issuer is the trusted issuer: Name and MaxLifetime are used. Required.
	Issuer token.Issuer

	// Endpoint is the URL to ask: https, or http on a loopback host. Required.
	Endpoint string

	// ClientID and ClientSecret are what the endpoint knows us by, sent as client_secret_basic.
	// Required.
	ClientID, ClientSecret string

	// Denied overrules what is remembered for single tokens (`jti`). Default: gates alone ask the
	// deny list.
	Denied *revocation.DenyList

	// CacheFor is how long a good answer is remembered, never past the token's end; a refusal, 5s
	// at most. Negative: nothing is. Default: 60s.
	CacheFor time.Duration

	// Transport carries the questions. Default: one of its own, with timeouts of 5s, that reaches
	// loopback addresses alone over http.
	Transport http.RoundTripper

	start   sync.Once
	client  *egress.Client
	answers answers
}

// Format writes which issuer is asked, for every verb, and never the secret.
func (f *Foreign) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "introspection of %q at %q", f.Issuer.Name, f.Endpoint)
}

// Check says what is missing or not allowed.
func (f *Foreign) Check() error {
	u, err := egress.ParseURL(f.Endpoint)
	switch {
	case f.Issuer.Name == "":
		return errors.New("introspection: the issuer has no name")
	case err != nil:
		return fmt.Errorf("introspection: the endpoint: %w", err)
	case u.Fragment != "":
		return errors.New("introspection: the endpoint has a fragment")
	case f.ClientID == "" || f.ClientSecret == "":
		return errors.New("introspection: the client id or its secret is missing")
	}
	return nil
}

// ownPrefixes begin what this server gives out: refresh tokens, opaque access tokens, API tokens
// and client secrets. Sent by mistake, they are no less secret, and no other issuer is told of
// them.
var ownPrefixes = []string{"rt_", opaquePrefix, "caat_", "cacs_"}

// IsIssued reports whether a text begins like something that this server gives out under a prefix.
func IsIssued(raw string) bool {
	return slices.ContainsFunc(ownPrefixes, func(prefix string) bool { return strings.HasPrefix(raw, prefix) })
}

// IsServerSecret is IsIssued for what only this server's own routes take, so that it is never a
// credential for an application.
func IsServerSecret(raw string) bool { return IsIssued(raw) && !IsOpaque(raw) }

// MayHoldSecret reports whether a line of an Authorization header can hold something that
// IsServerSecret knows.
func MayHoldSecret(line string) bool {
	return strings.Contains(strings.ToLower(line), "basic") ||
		slices.ContainsFunc(ownPrefixes, func(prefix string) bool { return prefix != opaquePrefix && strings.Contains(line, prefix) })
}

// Verify returns the token of raw as its issuer describes it; like a token.Verifier it does not
// look at the clock, the audience or any policy. The error is a *token.Refusal: token.Inactive for
// a token that is not active, and token.KeysUnavailable, with the cause wrapped beside it, when the
// issuer cannot be asked.
func (f *Foreign) Verify(ctx context.Context, raw string) (*token.Token, error) {
	if !isBearer(raw) {
		return nil, &token.Refusal{Reason: token.Malformed, Detail: "not a bearer token"}
	}
	if IsIssued(raw) {
		return nil, &token.Refusal{Reason: token.WrongType, Detail: "no token of another issuer"}
	}
	key, m := keyOf(raw), memory{denied: f.Denied, cacheFor: remembered(f.CacheFor)}
	if t, known, err := f.answers.recall(key, m); known {
		return t, err
	}
	f.start.Do(f.prepare)
	return f.answers.find(ctx, key, m, func(ctx context.Context) (*token.Token, error) { return f.ask(ctx, raw) })
}

// Close lets go of idle connections. Questions under way are answered, and Verify still works.
func (f *Foreign) Close() {
	f.start.Do(f.prepare)
	f.client.Close()
}

// isBearer holds raw against b64token (RFC 6750, section 2.1) and the length of a token.
func isBearer(raw string) bool {
	body := strings.TrimRight(raw, "=")
	return body != "" && len(raw) <= token.MaxSize && !strings.ContainsFunc(body, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~+/", r))
	})
}

// prepare makes the client. It follows no redirect: the credentials are for the configured address
// alone.
func (f *Foreign) prepare() {
	f.answers.asking = make(chan struct{}, askAtOnce)
	home, _ := url.Parse(f.Endpoint) // Check has seen to it
	f.client = &egress.Client{
		Home:        home,
		Timeout:     askFor,
		MaxBody:     maxAnswer,
		Connections: askAtOnce,
		Transport:   f.Transport,
	}
}

// ask sends one question (RFC 7662, section 2.1).
func (f *Foreign) ask(ctx context.Context, raw string) (*token.Token, error) {
	body := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.Endpoint, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(f.ClientID), url.QueryEscape(f.ClientSecret)) // RFC 6749, section 2.3.1
	answer, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := checkAnswer(answer); err != nil {
		return nil, fmt.Errorf("introspection of %q: %w", f.Issuer.Name, err)
	}
	return f.read(raw, answer.Body)
}

// checkAnswer refuses what says nothing about the token. A status other than 200 is about this
// server, or about the endpoint.
func checkAnswer(answer *egress.Answer) error {
	if answer.Status != http.StatusOK {
		return fmt.Errorf("the endpoint answered %d", answer.Status)
	}
	if kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return errors.New("the endpoint did not answer with application/json")
	}
	return nil
}

// read turns an answer into a token. An answer that makes no sense says nothing of the token.
func (f *Foreign) read(raw string, answer []byte) (*token.Token, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(answer, &members) != nil {
		return nil, fmt.Errorf("introspection of %q: the answer is not a JSON object", f.Issuer.Name)
	}
	switch string(members["active"]) {
	case "true":
	case "false":
		return nil, &token.Refusal{Reason: token.Inactive, Detail: "its issuer says that the token is not active"}
	default:
		return nil, fmt.Errorf("introspection of %q: active is neither true nor false", f.Issuer.Name)
	}
	if !saysAccess(members) {
		return nil, &token.Refusal{Reason: token.WrongType, Detail: "its issuer says that it is no bearer access token"}
	}
	return token.FromClaims(token.Issuer{Name: f.Issuer.Name, MaxLifetime: f.Issuer.MaxLifetime}, raw, answer)
}

// accessWords are what issuers write about the kind of a bearer access token: `token_type` of RFC
// 7662, and the customs of Hydra (`token_use`) and Keycloak (`typ`). Refresh and ID tokens are
// active, too, and tokens bound to a key (DPoP) are no bearer tokens.
var accessWords = map[string][]string{
	"token_type": {"bearer", "access_token"},
	"token_use":  {"access_token", "access"},
	"typ":        {"bearer", "at+jwt"},
}

func saysAccess(members map[string]json.RawMessage) bool {
	for name, words := range accessWords {
		value, said := members[name]
		if !said || string(value) == "null" {
			continue
		}
		var word string
		if json.Unmarshal(value, &word) != nil || !isOneOf(word, words) {
			return false
		}
	}
	return true
}

func isOneOf(word string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(word, w) })
}
