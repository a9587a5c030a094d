package login

import (
	"net/http"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// postAPILogin signs in with JSON and answers with JSON; it sets no cookie and reads none. Which
// projects exist is no secret: their names stand in the addresses of their applications, so an
// unknown one is 404.
func (s *Server) postAPILogin(w http.ResponseWriter, r *http.Request) {
	a := attempt{kind: audit.APILogin}
	v := s.apiVerdict(w, r, r.PathValue("projectId"), &a).unlessGone(r.Context())
	s.event(r, a, v)
	if v.result != success {
		refuseJSON(w, v)
		return
	}
	grantJSON(w, v.issued)
}

func (s *Server) apiVerdict(w http.ResponseWriter, r *http.Request, id string, a *attempt) verdict {
	f, v := s.readAttempt(w, r, a, endpoint.JSONType)
	if v.result != "" {
		return v
	}
	a.project = id
	if err := s.find(r.Context(), a); err != nil {
		a.project = ""
		return verdict{result: storeUnavailable, err: err}
	}
	if !a.parties.Project.Active {
		a.project = ""
		return verdict{result: unknownProject}
	}
	audience, ok := f.text("audience")
	if !ok {
		audience = defaultAudience
	}
	if !slices.Contains(s.audiences(), audience) {
		return verdict{result: invalidRequest}
	}
	a.audience = audience
	return s.signIn(r, *a)
}
