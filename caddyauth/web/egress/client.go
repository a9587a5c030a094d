package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Limits of a Client that sets none.
const (
	DefaultTimeout = 5 * time.Second
	DefaultMaxBody = 1 << 20
)

// Client makes requests to the host of Home and, where redirects or answers lead there, to public
// hosts. The zero value reaches public hosts over https alone. Its fields must not change after the
// first request. It may be used by many goroutines.
type Client struct {
	// Home is an address that the operator configured. Its host may have any address over https,
	// and must have a loopback address over http. From a loopback Home, other loopback addresses
	// can be reached too. Default: no host is special.
	Home *url.URL

	// Allow are networks that the operator lets it reach although they are not public. Over http only
	// loopback addresses among them are reached. Default: none.
	Allow []netip.Prefix

	// Roots are the certificate authorities that are trusted. Default: those of the system.
	Roots *x509.CertPool

	// Redirects is how many redirects of one request are followed. Default: none, so that
	// credentials go to the requested address alone; a redirect is the answer then.
	Redirects int

	// Timeout bounds a request, reading the answer included. Default: 5s.
	Timeout time.Duration

	// MaxBody is the largest answer that is read, in bytes, uncompressed. Default: 1 MiB.
	MaxBody int64

	// Connections is how many connections to a host are used at once, and kept open between
	// requests. Default: none is kept, and the number is not bounded.
	Connections int

	// Transport sends the requests in place of the Client's own transports, with its own rules
	// about the addresses that are dialled. Default: transports that check them.
	Transport http.RoundTripper

	start  sync.Once
	client *http.Client
}

// Answer is the answer to a request.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// ParseURL refuses addresses that nothing may be sent to: anything but https, or http on a loopback
// host.
func ParseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	return u, checkURL(u)
}

// Check refuses an address that an answer names, in a redirect or in a document, if the Client may
// not follow it. Where the name of its host leads is checked when it is dialled.
func (c *Client) Check(u *url.URL) error {
	if err := checkURL(u); err != nil {
		return err
	}
	if weburl.IsLoopback(u.Hostname()) && !c.isLocal() && !c.allowsLoopback() {
		return fmt.Errorf("%q leads to this machine", clip(u.Redacted()))
	}
	return nil
}

// Do sends a request and reads the answer. An answer of a status other than 200 may be cut at
// MaxBody; a longer 200 is an error.
func (c *Client) Do(req *http.Request) (*Answer, error) {
	c.start.Do(c.prepare)
	ctx, cancel := context.WithTimeout(req.Context(), orDefault(c.Timeout, DefaultTimeout))
	defer cancel()
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "caddyauth")
	}
	resp, err := c.client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()

	limit := orDefault(c.MaxBody, DefaultMaxBody)
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.URL.Redacted(), err)
	}
	if int64(len(body)) > limit && resp.StatusCode == http.StatusOK {
		return nil, fmt.Errorf("%s: the answer is larger than %d bytes", req.URL.Redacted(), limit)
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// Get requests a document of one of the media types, as the header Accept lists them.
func (c *Client) Get(ctx context.Context, u *url.URL, accept string) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	return c.Do(req)
}

// Close closes idle connections. Requests under way are answered, and new ones can be sent.
func (c *Client) Close() {
	c.start.Do(c.prepare)
	c.client.CloseIdleConnections()
}

func (c *Client) prepare() {
	transport := c.Transport
	if transport == nil {
		transport = newHops(c)
	}
	c.client = &http.Client{Transport: transport, CheckRedirect: c.checkRedirect}
}

func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case c.Redirects == 0:
		return http.ErrUseLastResponse
	case len(via) > c.Redirects:
		return fmt.Errorf("more than %d redirects", c.Redirects)
	}
	return c.Check(req.URL)
}

// isLocal reports whether the configured host is this machine.
func (c *Client) isLocal() bool { return c.Home != nil && weburl.IsLoopback(c.Home.Hostname()) }

// allowsLoopback reports whether addresses of this machine are among those that are allowed.
func (c *Client) allowsLoopback() bool {
	return slices.ContainsFunc(c.Allow, func(p netip.Prefix) bool {
		return slices.ContainsFunc(loopback, p.Overlaps)
	})
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func checkURL(u *url.URL) error {
	switch {
	case u.User != nil:
		return errors.New("a user name in the URL is not allowed")
	case u.Hostname() == "":
		return fmt.Errorf("%q has no host", clip(u.Redacted()))
	case !weburl.IsSecure(u):
		return fmt.Errorf("%q is not https (http only on a loopback host)", clip(u.Redacted()))
	}
	return nil
}

// clip shortens a text of another server for an error.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

func orDefault[N int64 | time.Duration](n, byDefault N) N {
	if n <= 0 {
		return byDefault
	}
	return n
}
