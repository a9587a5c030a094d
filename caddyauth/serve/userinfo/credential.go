package userinfo

import (
	"net/http"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// maxBody is the largest body that is read, in bytes: an access token has at most 16 KiB.
const maxBody = 20 << 10

// credential is the access token of a request.
type credential struct {
	token  string
	byDPoP bool // the scheme that it came with
}

// presented finds the one access token of a request: in the header Authorization or in the body of a
// form (RFC 6750, section 2). In the query it would end up in logs, and is refused.
func presented(w http.ResponseWriter, r *http.Request) (credential, error) {
	if r.URL.Query().Has("access_token") || strings.Contains(r.URL.RawQuery, "access_token") {
		return credential{}, invalidRequest("An access token does not belong into the query.")
	}
	inBody := ""
	if r.Method == http.MethodPost && endpoint.MediaType(r) == endpoint.FormType {
		form, err := endpoint.ReadForm(w, r, maxBody)
		if err != nil {
			return credential{}, invalidRequest("The body is not a form, is too large or has a duplicate parameter.")
		}
		inBody = form["access_token"]
	}
	lines := r.Header["Authorization"]
	switch {
	case len(lines) > 1 || len(lines) == 1 && inBody != "":
		return credential{}, invalidRequest("The request has more than one credential.")
	case inBody != "":
		return credential{token: inBody}, nil
	case len(lines) == 0:
		return credential{}, errNoCredential
	}
	scheme, raw, _ := strings.Cut(lines[0], " ")
	raw = strings.TrimLeft(raw, " ")
	c := credential{token: raw, byDPoP: strings.EqualFold(scheme, "DPoP")}
	if !c.byDPoP && !strings.EqualFold(scheme, "Bearer") {
		return credential{}, errNoCredential
	}
	if raw == "" {
		return credential{}, invalidRequest("The header Authorization has no access token.")
	}
	return c, nil
}
