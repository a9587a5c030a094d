package gate

import (
	"net/http"
	"net/url"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// AdmitsSession decides about a browser that would open an address of an application with the token
// of a living session, as Admit would about its request, and changes nothing. The error is a
// *token.Refusal.
func (g *Gate) AdmitsSession(address *url.URL, session *token.Token, now time.Time) error {
	if g.Mode == ReportOnly {
		return nil
	}
	target := &url.URL{Path: address.Path, RawPath: address.RawPath, RawQuery: address.RawQuery}
	if target.Path == "" {
		target.Path = "/" // as browsers send it
	}
	r := &http.Request{
		Method:     http.MethodGet,
		URL:        target,
		RequestURI: target.RequestURI(),
		Host:       address.Host,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     http.Header{"Cookie": {g.Session.Name + "=" + session.Raw()}},
	}
	_, _, err := g.decide(r, nil, session, false, now)
	return err
}
