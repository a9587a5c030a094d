package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// The two documents. The names stand behind the issuer (OpenID Connect Discovery 1.0, section 4), or
// between its host and its path (RFC 8414, section 3); clients try both forms of both.
const (
	openIDName = "/.well-known/openid-configuration"
	oauthName  = "/.well-known/oauth-authorization-server"
)

// Server answers the metadata documents, to everybody and to scripts of any origin. Nothing in them
// is about the caller: no cookie and no token is read. Call Validate once, then ServeHTTP for the
// requests whose path Handles. It may be used by several goroutines.
type Server struct {
	// Issuer is `iss`, byte by byte. Without the form of a URL it has no documents. Required.
	Issuer string

	// Base is the public URL: scheme and host as browsers write them, and the path of the endpoints,
	// without a trailing slash ("" or "/auth"). Required.
	Base *url.URL

	// Scopes are those that clients may have. Default: none are listed.
	Scopes []string

	// Claims are those of people that /userinfo can tell. Default: none.
	Claims []string

	// IDTokenAlgorithms sign ID tokens. Default: none.
	IDTokenAlgorithms []string

	// Registration says that clients may register themselves (RFC 7591), ClientDocuments that a
	// client_id may be the URL of a metadata document. Default: they may not.
	Registration, ClientDocuments bool

	// IdentityAssertions says that assertions of some issuer are exchanged for tokens. Default: they
	// are not.
	IdentityAssertions bool

	// Certificates says whether any site asks clients for TLS certificates, and whether any verifies
	// them (RFC 8705). It is asked once, by the first request. Default: none does.
	Certificates func() (asked, verified bool)

	// Asserting says whether any client gets identity assertions for other servers. It is asked by each
	// request. Default: none does.
	Asserting func(ctx context.Context) bool

	below endpoint.Handlers // below the public URL
	root  endpoint.Handlers // with the issuer's path behind the name

	text, asserting func() []byte // without identity assertions, and with them
}

// maxAge is how long clients may keep a document: as long as the key set.
const maxAge = "public, max-age=300"

// Validate says what is missing in the server, and prepares its answer.
func (s *Server) Validate() error {
	if err := weburl.ValidateBase(s.Base); err != nil {
		return fmt.Errorf("discovery: Base: %w", err)
	}
	if s.Issuer == "" {
		return errors.New("discovery: Issuer is required")
	}
	s.text, s.asserting = sync.OnceValue(s.marshal(false)), sync.OnceValue(s.marshal(true))
	s.below, s.root = endpoint.Handlers{Base: s.Base}, endpoint.Handlers{Base: new(url.URL)}
	issuer, err := url.Parse(s.Issuer)
	if err != nil || issuer.Host == "" {
		return nil // no client could look for its documents
	}
	s.below.Routes = s.routes("")
	if inserted := strings.TrimSuffix(issuer.Path, "/"); inserted+s.Base.Path != "" {
		s.root.Routes = s.routes(inserted)
	}
	return nil
}

func (s *Server) marshal(asserting bool) func() []byte {
	return func() []byte {
		text, err := json.Marshal(s.document(asserting))
		if err != nil {
			panic(err) // texts and switches only: cannot happen
		}
		return append(text, '\n')
	}
}

// routes are those of both documents, with a path behind the name.
func (s *Server) routes(behind string) (routes endpoint.Routes[http.HandlerFunc]) {
	for _, name := range []string{openIDName, oauthName} {
		routes = append(routes, endpoint.Route[http.HandlerFunc]{
			Method:    http.MethodGet,
			Path:      name + behind,
			Handler:   s.write,
			AnyOrigin: true,
		})
	}
	return routes
}

// Handles reports whether the path, as in URL.Path, is one of a document's.
func (s *Server) Handles(path string) bool { return s.below.Handles(path) || s.root.Handles(path) }

// Rules lists the addresses below the public URL, which are the server's also where no document is.
func (s *Server) Rules() []endpoint.Rule { return s.routes("").Rules() }

// ServeHTTP answers a request whose path Handles; any other gets 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.below.Handles(r.URL.Path) {
		s.below.ServeHTTP(w, r)
		return
	}
	s.root.ServeHTTP(w, r)
}

func (s *Server) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", maxAge)
	h.Set("X-Content-Type-Options", "nosniff")
	text := s.text
	if s.Asserting != nil && s.Asserting(r.Context()) {
		text = s.asserting
	}
	_, _ = w.Write(text())
}
