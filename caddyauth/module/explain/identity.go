package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/openid"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
	"github.com/caddyauth/gateway/caddyauth/module/jwtauth"
)

// findUsers lists declared users that are most likely not as intended.
func findUsers(_ caddy.Context, app *auth.App) (found []finding.Finding) {
	for i := range app.Users {
		u := &app.Users[i]
		where := "user " + u.Name
		if u.PasswordHash == "" && !u.Disabled {
			found = append(found, finding.Finding{
				Severity: finding.Warning,
				Where:    where,
				Text:     "no password_hash, so nobody can sign in as this user",
				Hint:     "add what `caddy hash-password` prints",
			})
		}
		for _, name := range slices.Sorted(maps.Keys(u.Claims)) {
			words, want := textList(u.Claims[name]), openid.TypeOf(name)
			switch {
			case len(words) > 1 && slices.Contains(singleClaims, name):
				found = append(found, finding.Finding{
					Severity: finding.Warning,
					Where:    where,
					Text:     fmt.Sprintf("claim %s has %d values: %s", name, len(words), quoteWords(words)),
					Hint:     fmt.Sprintf("quotes make one of them: claim %s %q", name, strings.Join(words, " ")),
				})
			case !want.Fits(u.Claims[name]):
				found = append(found, finding.Finding{
					Severity: finding.Warning,
					Where:    where,
					Text:     fmt.Sprintf("claim %s is not %s as in OpenID Connect, and told to nobody", name, want),
					Hint:     typedClaim(name, want),
				})
			}
		}
	}
	return found
}

// typedClaim shows how a claim is written that is of a type.
func typedClaim(name string, want openid.Type) string {
	return "write claim " + name + " " + map[openid.Type]string{
		openid.Boolean: "true",
		openid.Count:   ":= 1767225600",
		openid.Object:  ":= `{...}`",
		openid.Text:    "and a text",
	}[want]
}

// singleClaims are claims with one value (OpenID Connect Core, section 5.1), which may hold spaces.
var singleClaims = []string{
	"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "display_name", "title",
	"department", "company", "profile", "picture", "website", "email", "gender", "birthdate", "zoneinfo", "locale",
	"phone_number", "address",
}

// textList returns the words of a list, and nothing of another value.
func textList(value any) []string {
	switch value.(type) {
	case []any, []string:
		return claimWords(value)
	}
	return nil
}

// claimWords returns the words by which rules compare a configured claim.
func claimWords(value any) (words []string) {
	switch v := value.(type) {
	case []string:
		return v
	case []any:
		for _, e := range v {
			words = append(words, claimWords(e)...)
		}
		return words
	case string, bool, json.Number:
		return []string{fmt.Sprint(v)}
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	}
	return nil
}

func quoteWords(words []string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = quoteJSON(w)
	}
	return strings.Join(all, ", ")
}

// findGateIdentity lists gates that ask for a project that does not exist, or for a claim that no
// user has.
func findGateIdentity(ctx caddy.Context, app *auth.App) (found []finding.Finding) {
	http, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	config := app.Read()
	known := make(map[string]projectMembers)
	for name, server := range http.(*caddyhttp.App).Servers {
		eachGate(server.Routes, func(j *jwtauth.JWTAuth) {
			slug := j.Gate().Project
			members, ok := known[slug]
			if !ok {
				members = membersOf(ctx, config, slug)
				known[slug] = members
			}
			found = append(found, gateIdentity{j, config.Issuer, members}.find("server "+name+", gate "+j.Label())...)
		})
	}
	return found
}

// projectMembers is what is known of the users and clients of a project, declared and stored ones.
type projectMembers struct {
	declared bool // the project
	unknown  bool // not all users of the store are known
	users    int  // declared ones
	claims   []map[string]any
}

// maxMembers bounds how many users and clients of a project are read from the store.
const maxMembers = 1000

func membersOf(ctx context.Context, config auth.Reading, slug string) (p projectMembers) {
	p.declared = slug == project.Default
	for i := range config.Declared.Projects {
		p.declared = p.declared || config.Declared.Projects[i].Slug == slug
	}
	for i := range config.Declared.Users {
		if u := &config.Declared.Users[i]; u.Project == slug {
			p.users++
			p.claims = append(p.claims, u.Claims)
		}
	}
	for _, c := range config.Declared.Clients {
		if c.Project == slug {
			p.claims = append(p.claims, c.Claims)
		}
	}
	if _, err := config.Store.FindProject(ctx, slug); err == nil {
		p.declared = true
	}
	users, err := config.Store.ListUsers(ctx, identity.UserPage{Project: slug, Limit: maxMembers})
	clients, err2 := config.Store.ListClients(ctx, slug, project.Page{Limit: maxMembers})
	p.unknown = err != nil || err2 != nil || len(users) == maxMembers || len(clients) == maxMembers
	for i := range users {
		if !users[i].Disabled {
			p.claims = append(p.claims, users[i].Claims)
		}
	}
	for i := range clients {
		p.claims = append(p.claims, clients[i].Claims)
	}
	return p
}

// gateIdentity is a gate with what is known of the users of its project.
type gateIdentity struct {
	*jwtauth.JWTAuth
	issuer  string // the server's own
	members projectMembers
}

// find applies the rules to one gate. The claims in tokens of another issuer are not known.
func (j gateIdentity) find(where string) (found []finding.Finding) {
	members, accepted := j.members, j.Gate().Issuers
	slug := j.Gate().Project
	if !members.declared {
		severity, hint := finding.Warning, "add `project "+slug+"`, or correct the gate"
		if members.unknown {
			severity, hint = finding.Note, "unless the store has it"
		}
		found = append(found, finding.Finding{
			Severity: severity,
			Where:    where,
			Text:     "project " + slug + " not found, so no token passes",
			Hint:     hint,
		})
	}
	found = append(found, j.classFindings(where)...)
	if _, own := accepted[j.issuer]; members.users == 0 || !own || len(accepted) > 1 {
		return found
	}
	for i := range j.Rules {
		if text := ruleProblem(&j.Rules[i], members); text != "" {
			found = append(found, members.claimFinding(where, text, slug))
		}
	}
	for _, f := range j.Forward {
		if !members.anyHas(f.Claim, nil) {
			text := fmt.Sprintf("forward %s %s: no user of project %s has the claim, so the header is never set",
				f.Claim, f.Header, slug)
			found = append(found, members.claimFinding(where, text, slug))
		}
	}
	return found
}

// ruleProblem says what is wrong with a rule; empty if nothing is.
func ruleProblem(r *jwtauth.Rule, members projectMembers) string {
	words := strings.Join(append([]string{r.Claim}, r.Values...), " ")
	switch {
	case r.Claim == "scope": // clients ask for scopes
		return ""
	case r.Claim == "acr" && !r.Deny: // a sign-in gives it; see classFindings
		return ""
	case r.Deny && !members.anyHas(r.Claim, nil):
		return "deny " + words + ": no user has the claim, so nobody is refused"
	case !r.Deny && !members.anyHas(r.Claim, nil):
		return "require " + words + ": no user has the claim, so none of them passes"
	case !r.Deny && !members.anyHas(r.Claim, r.Values):
		return "require " + words + ": no user has such a value, so none of them passes"
	}
	return ""
}

// classFindings are about rules that ask for a class of sign-in which there is none of here.
func (j gateIdentity) classFindings(where string) (found []finding.Finding) {
	if _, own := j.Gate().Issuers[j.issuer]; !own || len(j.Gate().Issuers) > 1 {
		return nil
	}
	for _, r := range j.Rules {
		if r.Claim != "acr" || r.Deny || len(r.Values) == 0 || slices.Contains(r.Values, issuance.PasswordClass) {
			continue
		}
		found = append(found, finding.Finding{
			Severity: finding.Warning,
			Where:    where,
			Text:     "require acr " + strings.Join(r.Values, " ") + ": no sign-in here gives that, so nobody passes",
			Hint:     "a sign-in with a password gives acr " + issuance.PasswordClass + ", and there is no other",
		})
	}
	return found
}

// claimFinding is the finding about a claim that no user has.
func (p projectMembers) claimFinding(where, text, slug string) finding.Finding {
	names := make(map[string]bool)
	for _, claims := range p.claims {
		for name := range claims {
			names[name] = true
		}
	}
	hint := "their tokens have no claims but the registered ones"
	if len(names) > 0 {
		hint = "names are exact; the claims of project " + slug + " are: " +
			strings.Join(slices.Sorted(maps.Keys(names)), ", ")
	}
	f := finding.Finding{
		Severity: finding.Warning,
		Where:    where,
		Text:     text,
		Hint:     hint,
	}
	if p.unknown {
		f.Severity = finding.Note
		f.Hint += "; not all users in the store were looked at"
	}
	return f
}

// anyHas reports whether any user has a claim, with one of the values if there are values. Claims
// that the server itself sets count as present.
func (p projectMembers) anyHas(name string, values []string) bool {
	if token.Reserved(name) {
		return true
	}
	return slices.ContainsFunc(p.claims, func(claims map[string]any) bool {
		value, ok := claimAt(claims, name)
		if !ok || value == nil {
			return false
		}
		has := func(w string) bool { return slices.Contains(values, w) }
		return len(values) == 0 || slices.ContainsFunc(claimWords(value), has)
	})
}

// claimAt finds a claim by its name or dotted path, as gates do.
func claimAt(claims map[string]any, path string) (any, bool) {
	if value, ok := claims[path]; ok {
		return value, true
	}
	for i := len(path) - 1; i > 0; i-- {
		if path[i] != '.' {
			continue
		}
		if inner, ok := claims[path[:i]].(map[string]any); ok {
			if value, ok := claimAt(inner, path[i+1:]); ok {
				return value, true
			}
		}
	}
	return nil, false
}
