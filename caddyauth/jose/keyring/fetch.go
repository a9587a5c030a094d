package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/web/egress"
)

// maxRedirects is how many redirects of one request are followed.
const maxRedirects = 3

// fetchedSet is a key set as published, and how long it may be kept.
type fetchedSet struct {
	keys []json.RawMessage
	life time.Duration
}

// fetch gets the key set, after discovery where no address is configured.
func (r *Remote) fetch(ctx context.Context) (fetchedSet, error) {
	if err := r.Validate(); err != nil {
		return fetchedSet{}, err
	}
	home, err := r.home()
	if err != nil {
		return fetchedSet{}, err
	}
	c := &egress.Client{
		Home:      home,
		Redirects: maxRedirects,
		Timeout:   fetchTimeout,
		Transport: r.Transport,
	}
	address := home
	if r.JWKSURL == "" {
		if address, err = r.discover(ctx, c, home); err != nil {
			return fetchedSet{}, fmt.Errorf("issuer %q: discovery: %w", r.Issuer, err)
		}
	}
	body, header, err := get(ctx, c, address)
	if err != nil {
		return fetchedSet{}, fmt.Errorf("issuer %q: key set: %w", r.Issuer, err)
	}
	keys, err := decodeKeySet(body)
	if err != nil {
		return fetchedSet{}, fmt.Errorf("issuer %q: key set from %s: %w", r.Issuer, address.Redacted(), err)
	}
	return fetchedSet{keys: keys, life: keysLife(header)}, nil
}

// statusError is an answer other than 200.
type statusError struct {
	address string
	status  int
}

func (e *statusError) Error() string { return fmt.Sprintf("%s answered %d", e.address, e.status) }

// discover finds the address of the key set: OpenID Connect Discovery 1.0
// section 4, and where that is not served RFC 8414 section 3.
func (r *Remote) discover(ctx context.Context, c *egress.Client, home *url.URL) (*url.URL, error) {
	path := strings.TrimSuffix(home.EscapedPath(), "/")
	places := []string{path + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server" + path}
	var err error
	for _, place := range places {
		var body []byte
		body, _, err = get(ctx, c, sameHost(home, place))
		if err == nil {
			return r.jwksURI(body, c)
		}
		if _, answered := errors.AsType[*statusError](err); !answered {
			return nil, err
		}
	}
	return nil, err
}

// sameHost is an address on the same host.
func sameHost(home *url.URL, escapedPath string) *url.URL {
	u := *home
	u.Path, _ = url.PathUnescape(escapedPath)
	u.RawPath = escapedPath
	return &u
}

// jwksURI reads a discovery document, whose issuer must be the configured one,
// character by character (OpenID Connect Discovery 1.0 section 4.3, RFC 8414
// section 3.3).
func (r *Remote) jwksURI(body []byte, c *egress.Client) (*url.URL, error) {
	doc, err := decodeJSONObject(body)
	if err != nil {
		return nil, err
	}
	issuer, err := doc.text("issuer")
	if err != nil {
		return nil, err
	}
	if issuer != r.Issuer {
		return nil, fmt.Errorf("the document is of issuer %q", clip(issuer))
	}
	address, err := doc.text("jwks_uri")
	if err != nil {
		return nil, err
	}
	u, err := egress.ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	return u, c.Check(u)
}

// get requests a document.
func get(ctx context.Context, c *egress.Client, u *url.URL) ([]byte, http.Header, error) {
	answer, err := c.Get(ctx, u, "application/jwk-set+json, application/json")
	if err != nil {
		return nil, nil, err
	}
	if answer.Status != http.StatusOK {
		return nil, nil, &statusError{address: u.Redacted(), status: answer.Status}
	}
	return answer.Body, answer.Header, nil
}

// keysLife is how long an answer may be kept.
func keysLife(h http.Header) time.Duration {
	return egress.Lifetime(h, minKeysLife, plainKeysLife, maxKeysLife)
}
