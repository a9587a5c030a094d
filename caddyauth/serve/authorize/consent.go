package authorize

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// The fields of the page that asks, and what its buttons say.
const (
	requestField = "request"
	proofField   = "proof"
	decision     = "decision"
	allow        = "allow"
	deny         = "deny"
)

// consentPurpose keeps the proofs of the page apart from other MACs.
const consentPurpose = "consent page"

// missing returns what the person has to be asked for: scopes with single claims (wanted), resources,
// and whether they have to be asked at all, for a client may want to know of nothing in particular.
func (c *call) missing() (scopes, resources []string, ask bool, err error) {
	policy := c.parties.Client.ConsentPolicy()
	if policy == clients.ConsentOff {
		return nil, nil, false, nil
	}

	// Who has just agreed is not asked anew, but what they agreed to may be less, or withdrawn since.
	agreed := c.visit.Agreed != "" && c.visit.Agreed == keyOf(c.session)
	if !agreed && (policy == clients.ConsentAlways || c.request.Prompt.Consent) {
		return c.wanted(), c.request.Resources, true, nil
	}
	given, err := c.Consents.FindConsent(c.r.Context(), c.parties.User.ID, c.parties.Client.ID)
	if errors.Is(err, consent.ErrNotFound) {
		return c.wanted(), c.request.Resources, true, nil
	}
	if err != nil {
		return nil, nil, false, unavailable(err)
	}
	scopes, resources = c.unknownTo(given)
	if slices.ContainsFunc(scopes, consent.IsPlace) { // at another place all of it is new
		return c.wanted(), c.request.Resources, true, nil
	}
	return scopes, resources, len(scopes)+len(resources) > 0, nil
}

// askConsent sends the person to the page where they agree, which leads back to the same request.
func (c *call) askConsent() {
	if c.request.Prompt.None {
		c.refuse(c.deny(authorization.ConsentRequired, "The person has not agreed to what the client asks for."))
		return
	}
	redirect(c.w, c.url("/consent")+"?"+c.marked().Encode())
}

// getConsent shows the page. Whoever has nothing to be asked goes on.
func (s *Server) getConsent(w http.ResponseWriter, r *http.Request) {
	c := s.newCall(w, r, r.URL.RawQuery)
	if err := c.read(); err != nil {
		c.refuse(err)
		return
	}
	if c.needsSignIn() || c.checkPerson() != nil || c.request.Prompt.None {
		c.goOn()
		return
	}
	scopes, resources, ask, err := c.missing()
	switch {
	case err != nil:
		c.refuse(err)
	case !ask:
		c.goOn()
	default:
		ui.Render(w, http.StatusOK, c.consentPage(scopes, resources))
	}
}

// goOn sends the browser to /authorize with the request as it is.
func (c *call) goOn() { redirect(c.w, c.url("/authorize")+"?"+c.marked().Encode()) }

// consentPage says who asks for what.
func (c *call) consentPage(wanted, resources []string) ui.Consent {
	scopes, claims := split(wanted)
	marked := c.marked().Encode()
	page := ui.Consent{
		Site:           c.Base.Host,
		Subject:        c.session.Subject,
		Client:         c.parties.Client.ID,
		ClientHost:     c.parties.Client.ProvenHost(),
		Resources:      resources,
		Warnings:       c.warnings(),
		RedirectHost:   c.shownHost(c.request),
		RedirectOrigin: ui.FormSources(c.request.To.RedirectURI),
		Action:         c.url("/consent"),
		Fields:         []ui.Field{{Name: requestField, Value: marked}, {Name: proofField, Value: c.proof(marked)}},
		Links: []ui.Link{{
			Text: "Use another account",
			URL: c.url("/login") + "?" + url.Values{
				"next": {c.url("/authorize") + "?" + marked}, "switch": {"1"},
			}.Encode(),
		}},
	}
	if c.parties.Client.Name != "" {
		page.Client = c.parties.Client.Name
	}
	page.Scopes, page.Learns = c.Scopes.Describe(scopes, claims...)
	return page
}

// proof binds the page to the session that saw it, and to what it asked for: who has signed in as
// somebody else meanwhile has not been asked, nor has anybody for what the client may have since.
func (c *call) proof(marked string) string { return c.Visits.MAC(consentPurpose, c.asked(marked)) }

// asked is what the proof of the page proves.
func (c *call) asked(marked string) string {
	return strings.Join([]string{
		keyOf(c.session),
		marked,
		strings.Join(c.wanted(), "\t"),
		strings.Join(c.request.Resources, "\t"),
	}, "\n")
}

// warnings are for clients whose name or address proves little.
func (c *call) warnings() []string {
	var warnings []string
	if c.parties.Client.SelfRegistered() {
		warnings = append(warnings, "This application has registered itself. Nobody who runs this site has checked "+
			"its name.")
	}
	if !strings.HasPrefix(c.request.To.RedirectURI, "https:") {
		warnings = append(warnings, "The answer goes to a program on your own device. Allow this only if you have "+
			"just started that program yourself.")
	}
	return warnings
}

// postConsent takes the decision. Only the page itself, seen with this very session, can send it.
func (s *Server) postConsent(w http.ResponseWriter, r *http.Request) {
	form, err := endpoint.ReadForm(w, r, clientauth.MaxBody)
	c := s.newCall(w, r, form[requestField])
	decided := form[decision]
	if err != nil || s.protection.Check(r) != nil || decided != allow && decided != deny {
		c.refuse(&authorization.Error{
			Code:        authorization.InvalidRequest,
			Description: "The decision was not sent by the page that asks.",
		})
		return
	}
	if err := c.read(); err != nil {
		c.refuse(err)
		return
	}
	if c.needsSignIn() || c.checkPerson() != nil ||
		!c.Visits.HasMAC(consentPurpose, c.asked(form[requestField]), form[proofField]) {
		c.goOn() // and ask again
		return
	}
	if decided == deny {
		c.reportConsent("denied")
		c.refuse(c.deny(authorization.AccessDenied, "The person does not allow it."))
		return
	}
	c.agree()
}

// agree stores what the person has allowed, and goes on with the note of it.
func (c *call) agree() {
	err := c.Consents.GiveConsent(c.r.Context(), consent.Consent{
		Project:   c.Project,
		UserID:    c.parties.User.ID,
		ClientID:  c.parties.Client.ID,
		Scopes:    c.allowing(),
		Resources: c.request.Resources,
		Since:     c.now,
	})
	if errors.Is(err, consent.ErrNotFound) {
		c.signInAnew()
		return
	}
	if err != nil {
		e := unavailable(err)
		e.To = &c.request.To
		c.refuse(e)
		return
	}
	c.reportConsent("allowed")
	c.visit.Agreed = keyOf(c.session)
	c.goOn()
}

// reportConsent records a decision in the audit trail.
func (c *call) reportConsent(result string) {
	c.Events.Report(c.r.Context(), audit.Event{
		Kind:     audit.Consent,
		Result:   result,
		User:     c.parties.User.Name,
		ClientID: c.parties.Client.ID,
		Project:  c.Project,
		Target:   c.parties.Client.ID,
		Detail:   strings.Join(append(c.wanted(), c.request.Resources...), " "),
		ClientIP: c.ClientIP.Of(c.r),
		Recorded: true,
	})
}
