package gate

import "net/http"

// Renewable reports whether a session cookie that came with r now would be what Admit decides on,
// so that a session may be renewed for it. It may not where another credential is there, and where
// none is asked for. The error is a *token.Refusal which no session cookie could avert: these
// refusals come first, so that a request that meets one uses up no refresh token.
func (g *Gate) Renewable(r *http.Request, session Source) (bool, error) {
	if err := CheckTarget(r, r.URL, g.Paths); err != nil {
		return false, err
	}
	if g.Preflight && isPreflight(r) {
		return false, nil
	}
	for _, s := range g.Sources {
		if found, err := s.find(r); err != nil || found != "" && s != session {
			return false, nil // Admit says what is to be said
		}
	}
	err := g.checkOrigin(r)
	return err == nil, err
}

// Refuse leaves r as Admit does after a refusal, for a request that is refused before Admit is
// asked.
func (g *Gate) Refuse(r *http.Request, prior *Admission) {
	if g.Mode == ReportOnly {
		return
	}
	g.Owned.Strip(r, prior)
	g.removeCredential(r)
	prior.withdraw(r)
}
