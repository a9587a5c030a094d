package opaque

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

// maxResponse is the largest answer that is read, in bytes; the claims in it may have
// token.MaxSize.
const maxResponse = token.MaxSize

// IntrospectionClient asks the introspection endpoint of a trusted issuer about its opaque tokens
// (RFC 7662). A gate judges what it answers: `sub`, `aud` and `exp` must be in it, as in a JWT of
// that issuer. It may be used by many goroutines.
//
// A token does not tell whose it is, and the endpoint that is asked about it learns it. A gate
// should ask only where this issuer is the only one whose opaque tokens it accepts.
type IntrospectionClient struct {
	// Issuer is the trusted issuer: Name, MaxLifetime and CertificateBound are used. Required.
	Issuer token.Issuer

	// Endpoint is the URL to ask: https, or http on a loopback host. Required.
	Endpoint string

	// ClientID and ClientSecret authenticate this server to the endpoint, sent as
	// client_secret_basic. Required.
	ClientID, ClientSecret string

	// Denied overrules the cache for single tokens (`jti`). Default: only gates ask the deny list.
	Denied *revocation.DenyList

	// CacheFor is how long a valid token is cached, never past its end; a refusal, 5s at most.
	// Negative: not at all. Default: 60s.
	CacheFor time.Duration

	// Transport sends the requests. Default: transports of its own, see egress.Client.
	Transport http.RoundTripper

	start  sync.Once
	client *egress.Client
	cache  cache
}

// Format writes which issuer is asked, for every verb, and never the secret.
func (c *IntrospectionClient) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "introspection of %q at %q", c.Issuer.Name, c.Endpoint)
}

// Validate says what is missing or not allowed.
func (c *IntrospectionClient) Validate() error {
	u, err := egress.ParseURL(c.Endpoint)
	switch {
	case c.Issuer.Name == "":
		return errors.New("introspection: the issuer has no name")
	case err != nil:
		return fmt.Errorf("introspection: the endpoint: %w", err)
	case u.Fragment != "":
		return errors.New("introspection: the endpoint has a fragment")
	case c.ClientID == "" || c.ClientSecret == "":
		return errors.New("introspection: the client id or its secret is missing")
	}
	return nil
}

// Verify returns the token of raw as its issuer describes it. Like a token.Verifier it does not
// look at the clock, the audience or any policy. The error is a *token.Refusal: token.Inactive for
// a token that is not active, and token.KeysUnavailable, wrapped together with the cause, if the
// issuer cannot be asked.
func (c *IntrospectionClient) Verify(ctx context.Context, raw string) (*token.Token, error) {
	if !isB64Token(raw) {
		return nil, &token.Refusal{Reason: token.Malformed, Detail: "not a bearer token"}
	}
	if IsIssued(raw) {
		return nil, &token.Refusal{Reason: token.WrongType, Detail: "not a token of another issuer"}
	}
	key, p := keyOf(raw), policy{denied: c.Denied, cacheFor: cacheTime(c.CacheFor)}
	if t, known, err := c.cache.get(key, p); known {
		return t, err
	}
	c.start.Do(c.prepare)
	return c.cache.do(ctx, key, p, func(ctx context.Context) (*token.Token, error) { return c.ask(ctx, raw) })
}

// Close closes idle connections. Running calls are answered, and Verify still works.
func (c *IntrospectionClient) Close() {
	c.start.Do(c.prepare)
	c.client.Close()
}

// isB64Token checks the form of a bearer token (RFC 6750, section 2.1) and its length.
func isB64Token(raw string) bool {
	body := strings.TrimRight(raw, "=")
	return body != "" && len(raw) <= token.MaxSize && !strings.ContainsFunc(body, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			strings.ContainsRune("-._~+/", r))
	})
}

// prepare makes the client. It follows no redirects: the credentials are for the configured address
// alone.
func (c *IntrospectionClient) prepare() {
	c.cache.running = make(chan struct{}, maxCalls)
	home, _ := url.Parse(c.Endpoint) // Validate has refused what is not a URL
	c.client = &egress.Client{
		Home:        home,
		Timeout:     callTimeout,
		MaxBody:     maxResponse,
		Connections: maxCalls,
		Transport:   c.Transport,
	}
}

// ask sends one request (RFC 7662, section 2.1).
func (c *IntrospectionClient) ask(ctx context.Context, raw string) (*token.Token, error) {
	body := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret)) // RFC 6749, section 2.3.1
	answer, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := checkAnswer(answer); err != nil {
		return nil, fmt.Errorf("introspection of %q: %w", c.Issuer.Name, err)
	}
	return c.read(raw, answer.Body)
}

// checkAnswer refuses what says nothing about the token. A status other than 200 is about this
// server, or about the endpoint.
func checkAnswer(answer *egress.Answer) error {
	if answer.Status != http.StatusOK {
		return fmt.Errorf("the endpoint answered %d", answer.Status)
	}
	if kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); err != nil ||
		kind != "application/json" {
		return errors.New("the endpoint did not answer with application/json")
	}
	return nil
}

// read turns an answer into a token. An answer that cannot be read says nothing about the token.
func (c *IntrospectionClient) read(raw string, answer []byte) (*token.Token, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(answer, &members) != nil {
		return nil, fmt.Errorf("introspection of %q: the answer is not a JSON object", c.Issuer.Name)
	}
	switch string(members["active"]) {
	case "true":
	case "false":
		return nil, &token.Refusal{Reason: token.Inactive, Detail: "its issuer says that the token is not active"}
	default:
		return nil, fmt.Errorf("introspection of %q: active is neither true nor false", c.Issuer.Name)
	}
	if !saysAccess(members) {
		return nil, &token.Refusal{
			Reason: token.WrongType,
			Detail: "its issuer says that it is not a bearer access token",
		}
	}
	return token.FromClaims(token.Issuer{
		Name:             c.Issuer.Name,
		MaxLifetime:      c.Issuer.MaxLifetime,
		CertificateBound: c.Issuer.CertificateBound,
	}, raw, answer)
}

// accessWords are what issuers write about the kind of a bearer access token: `token_type` of RFC
// 7662, `token_use` of Hydra and `typ` of Keycloak. Refresh and ID tokens are active too, and
// tokens bound to a key (DPoP) are not bearer tokens.
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
