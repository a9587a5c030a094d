package verdict

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
)

// Asked is what a proxy asks about: the request that its client sent.
type Asked struct {
	Method string
	// Scheme is `http` or `https`.
	Scheme string
	// Host is the name, and the port where the client named one.
	Host string
	// URI is the request target, byte for byte.
	URI string
}

// The fields by which proxies say what they ask about. None of them is left in the request that
// gates see but the two that Caddy's own proxy knows, with the values that count.
const (
	forwardedMethod = "X-Forwarded-Method"
	forwardedProto  = "X-Forwarded-Proto"
	forwardedHost   = "X-Forwarded-Host"
	forwardedURI    = "X-Forwarded-Uri"
	originalMethod  = "X-Original-Method"
	originalURL     = "X-Original-Url"
)

// dropped are the fields of the asking request itself, which has no body, and those that say what
// it asks about.
var dropped = []string{
	"Connection", "Content-Length", "Expect", "Http2-Settings", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding",
	"Upgrade", "X-Original-Uri", "X-Original-Host", "X-Forwarded-Port",
	forwardedMethod, forwardedURI, originalMethod, originalURL,
}

// checkUpgrade refuses an upgrade that is not a lone WebSocket: the proxy would pass it on, and no gate
// would see what follows.
func checkUpgrade(r *http.Request) error {
	lines := r.Header["Upgrade"]
	if len(lines) == 0 || len(lines) == 1 && strings.EqualFold(strings.TrimSpace(lines[0]), "websocket") {
		return nil
	}
	return errors.New("the field Upgrade names something else than websocket")
}

// opensWebSocket reports whether the client opens a WebSocket. Not all proxies tell its Upgrade, and
// gates judge by it whether another site may have sent the request.
func opensWebSocket(r *http.Request) bool {
	return len(r.Header["Upgrade"]) > 0 || len(r.Header["Sec-Websocket-Key"]) > 0 ||
		r.Header.Get("Sec-Fetch-Mode") == "websocket"
}

// Asked reads what the proxy asks about. It takes nothing from the asking request where the dialect
// has a field for it, and refuses what is absent, said twice, or unclear.
func (d Dialect) Asked(r *http.Request) (Asked, error) {
	asked, err := d.read(r)
	if err != nil {
		return Asked{}, err
	}
	return asked, errors.Join(asked.validate(), checkUpgrade(r))
}

// readForwarded is for the proxies that send X-Forwarded-Method and its like.
func readForwarded(r *http.Request) (asked Asked, err error) {
	for _, field := range []struct {
		name string
		into *string
	}{
		{forwardedMethod, &asked.Method},
		{forwardedProto, &asked.Scheme},
		{forwardedHost, &asked.Host},
		{forwardedURI, &asked.URI},
	} {
		if *field.into, err = one(r, field.name); err != nil {
			return Asked{}, err
		}
	}
	return asked, nil
}

// readOriginal is for nginx, whose configuration sends the method and the whole URL.
func readOriginal(r *http.Request) (asked Asked, err error) {
	if asked.Method, err = one(r, originalMethod); err != nil {
		return Asked{}, err
	}
	address, err := one(r, originalURL)
	if err != nil {
		return Asked{}, err
	}
	scheme, rest, found := strings.Cut(address, "://")
	slash := strings.IndexByte(rest, '/')
	if !found || slash < 0 {
		return Asked{}, errors.New(originalURL + " is not `<scheme>://<host>/<path>`")
	}
	asked.Scheme, asked.Host, asked.URI = scheme, rest[:slash], rest[slash:]
	return asked, nil
}

// readEnvoy is for Envoy, which asks with method, host and target of the request itself.
func readEnvoy(r *http.Request) (asked Asked, err error) {
	asked = Asked{Method: r.Method, Host: r.Host, URI: r.RequestURI}
	asked.Scheme, err = one(r, forwardedProto)
	return asked, err
}

// one returns the value of a field that has to be there once.
func one(r *http.Request, name string) (string, error) {
	switch lines := r.Header[name]; {
	case len(lines) == 0 || lines[0] == "":
		return "", fmt.Errorf("%s is not there", name)
	case len(lines) > 1:
		return "", fmt.Errorf("%s is there %d times", name, len(lines))
	default:
		return lines[0], nil
	}
}

func (a Asked) validate() error {
	switch {
	case !httpguts.ValidHeaderFieldName(a.Method):
		return fmt.Errorf("the method %.40q is not a token", a.Method)
	case a.Scheme != "http" && a.Scheme != "https":
		return fmt.Errorf("the scheme %.40q is neither http nor https", a.Scheme)
	case !validHost(a.Host):
		return fmt.Errorf("the host %.80q is not one host with at most a port behind it", a.Host)
	case strings.ContainsFunc(a.URI, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return errors.New("the request target has spaces or control characters")
	case strings.Contains(a.URI, "#"): // some applications end the path here, and proxies pass it on as it is
		return errors.New("the request target has a fragment")
	}
	return nil
}

// validHost reports whether a value names one host, as in a Host field, in a form that gates accept.
// Proxies that stand behind others make lists of them. A zone means something to its own machine only.
func validHost(host string) bool {
	return host != "" && host[0] != ':' && strings.IndexByte(host, '%') < 0 && !gate.IsUnclearHost(host)
}

// Request is the request that gates are asked about: r's fields and address, with method, scheme,
// host and target of the asked one, and nothing of r's own. It has no body, because no proxy sends
// the body along. The error says that the target cannot be parsed.
func (a Asked) Request(r *http.Request) (*http.Request, error) {
	target, err := url.ParseRequestURI(a.URI)
	if err != nil {
		return nil, errors.New("the request target is not a path")
	}
	asked := r.Clone(r.Context())
	asked.Method, asked.Host, asked.URL, asked.RequestURI = a.Method, a.Host, target, a.URI
	asked.Body, asked.ContentLength, asked.TransferEncoding, asked.Trailer = http.NoBody, 0, nil, nil
	asked.Proto, asked.ProtoMajor, asked.ProtoMinor = "HTTP/1.1", 1, 1
	asked.TLS = nil
	if a.Scheme == "https" {
		// What the proxy's client has shown is not known.
		asked.TLS = &tls.ConnectionState{Version: tls.VersionTLS12, HandshakeComplete: true}
	}
	for _, name := range dropped {
		delete(asked.Header, name)
	}
	if opensWebSocket(r) {
		asked.Header["Upgrade"], asked.Header["Connection"] = []string{"websocket"}, []string{"Upgrade"}
	}
	asked.Header[forwardedProto], asked.Header[forwardedHost] = []string{a.Scheme}, []string{a.Host}
	return asked, nil
}
