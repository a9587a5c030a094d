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
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
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
				Text:     "there is no password_hash, so nobody can sign in as this user",
				Hint:     "add what `caddy hash-password` prints",
			})
		}
		for _, name := range slices.Sorted(maps.Keys(u.Claims)) {
			if words := textList(u.Claims[name]); len(words) > 1 && slices.Contains(singleClaims, name) {
				found = append(found, finding.Finding{
					Severity: finding.Warning,
					Where:    where,
					Text:     fmt.Sprintf("claim %s has %d values: %s", name, len(words), quotedWords(words)),
					Hint:     fmt.Sprintf("quotes make one of them: claim %s %q", name, strings.Join(words, " ")),
				})
			}
		}
	}
	return found
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

func quotedWords(words []string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = quoted(w)
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
	known := make(map[string]projectPeople)
	for name, server := range http.(*caddyhttp.App).Servers {
		eachGate(server.Routes, func(j *auth.JWTAuth) {
			slug := j.Gate().Project
			who, ok := known[slug]
			if !ok {
				who = peopleOf(ctx, config, slug)
				known[slug] = who
			}
			found = append(found, gateIdentity{j, config.Issuer, who}.find("server "+name+", gate "+j.Label())...)
		})
	}
	return found
}

// projectPeople is what is known of the users and clients of a project, declared and stored ones.
type projectPeople struct {
	declared bool // the project
	unknown  bool // not all users of the store are known
	users    int  // declared ones
	claims   []map[string]any
}

// maxPeople bounds how many users and clients of a project are read from the store.
const maxPeople = 1000

func peopleOf(ctx context.Context, config auth.Reading, slug string) (p projectPeople) {
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
	users, err := config.Store.ListUsers(ctx, identity.UserPage{Project: slug, Limit: maxPeople})
	clients, err2 := config.Store.ListClients(ctx, slug, project.Page{Limit: maxPeople})
	p.unknown = err != nil || err2 != nil || len(users) == maxPeople || len(clients) == maxPeople
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
	*auth.JWTAuth
	issuer string // the server's own
	who    projectPeople
}

// find applies the rules to one gate. The claims in tokens of another issuer are not known.
func (j gateIdentity) find(where string) (found []finding.Finding) {
	who, accepted := j.who, j.Gate().Issuers
	slug := j.Gate().Project
	if !who.declared {
		severity, hint := finding.Warning, "add `project "+slug+"`, or correct the gate"
		if who.unknown {
			severity, hint = finding.Note, "unless the store has it"
		}
		found = append(found, finding.Finding{
			Severity: severity,
			Where:    where,
			Text:     "there is no project " + slug + ", so no token passes",
			Hint:     hint,
		})
	}
	if _, own := accepted[j.issuer]; who.users == 0 || !own || len(accepted) > 1 {
		return found
	}
	for i := range j.Rules {
		if text := missed(&j.Rules[i], who); text != "" {
			found = append(found, who.missing(where, text, slug))
		}
	}
	for _, f := range j.Forward {
		if !who.have(f.Claim, nil) {
			text := fmt.Sprintf("forward %s %s: no user of project %s has the claim, so the header is never set",
				f.Claim, f.Header, slug)
			found = append(found, who.missing(where, text, slug))
		}
	}
	return found
}

// missed says what is wrong with a rule; empty if nothing is.
func missed(r *auth.Rule, who projectPeople) string {
	words := strings.Join(append([]string{r.Claim}, r.Values...), " ")
	switch {
	case r.Claim == "scope": // clients ask for scopes
		return ""
	case r.Deny && !who.have(r.Claim, nil):
		return "deny " + words + ": no user has the claim, so nobody is refused"
	case !r.Deny && !who.have(r.Claim, nil):
		return "require " + words + ": no user has the claim, so none of them passes"
	case !r.Deny && !who.have(r.Claim, r.Values):
		return "require " + words + ": no user has such a value, so none of them passes"
	}
	return ""
}

// missing is the finding about a claim that no user has.
func (p projectPeople) missing(where, text, slug string) finding.Finding {
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
	f := finding.Finding{Severity: finding.Warning, Where: where, Text: text, Hint: hint}
	if p.unknown {
		f.Severity = finding.Note
		f.Hint += "; not all users in the store were looked at"
	}
	return f
}

// have reports whether any user has a claim, with one of the values if there are values. Claims
// that the server itself sets count as present.
func (p projectPeople) have(name string, values []string) bool {
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
