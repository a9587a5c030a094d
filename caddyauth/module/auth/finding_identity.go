package auth

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
)

// findUsers lists declared users who are most likely not what was meant.
func (a *App) findUsers(caddy.Context) (found []finding) {
	for i := range a.Users {
		u := &a.Users[i]
		where := "user " + u.Name
		if u.PasswordHash == "" && !u.Disabled {
			found = append(found, finding{
				Severity: warned,
				Where:    where,
				Text:     "there is no password_hash, so nobody can sign in as this user",
				Hint:     "add what `caddy hash-password` prints",
			})
		}
		for _, name := range slices.Sorted(maps.Keys(u.Claims)) {
			if words := textList(u.Claims[name]); len(words) > 1 && slices.Contains(singleClaims, name) {
				found = append(found, finding{
					Severity: warned,
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

// findGateIdentity lists gates that ask for a project or a claim which nobody has.
func (a *App) findGateIdentity(ctx caddy.Context) (found []finding) {
	http, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	known := make(map[string]projectPeople)
	for name, server := range http.(*caddyhttp.App).Servers {
		eachGate(server.Routes, func(j *JWTAuth) {
			slug := j.gate.Project
			who, ok := known[slug]
			if !ok {
				who = a.peopleOf(ctx, slug)
				known[slug] = who
			}
			found = append(found, j.findIdentity("server "+name+", gate "+j.label(), who)...)
		})
	}
	return found
}

// projectPeople are what is known of a project: who is declared, and who stands in the store.
type projectPeople struct {
	declared bool // the project
	unknown  bool // the store was not looked at, or has too many
	users    int  // declared ones
	claims   []map[string]any
}

// maxPeople bounds how many users and clients of a project are looked at.
const maxPeople = 1000

func (a *App) peopleOf(ctx context.Context, slug string) (p projectPeople) {
	p.declared = slug == defaultProject
	for i := range a.Projects {
		p.declared = p.declared || a.Projects[i].Slug == slug
	}
	for i := range a.Users {
		if u := &a.Users[i]; u.project() == slug {
			p.users++
			p.claims = append(p.claims, u.Claims)
		}
	}
	for _, c := range a.declared.Clients {
		if c.Project == slug {
			p.claims = append(p.claims, c.Claims)
		}
	}
	if _, err := a.store.FindProject(ctx, slug); err == nil {
		p.declared = true
	}
	users, err := a.store.ListUsers(ctx, identity.UserPage{Project: slug, Limit: maxPeople})
	clients, err2 := a.store.ListClients(ctx, slug, project.Page{Limit: maxPeople})
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

// findIdentity looks at one gate. Which claims tokens of another issuer have is not known here.
func (j *JWTAuth) findIdentity(where string, who projectPeople) (found []finding) {
	slug := j.gate.Project
	if !who.declared {
		severity, hint := warned, "add `project "+slug+"`, or correct the gate"
		if who.unknown {
			severity, hint = noted, "unless the store has it"
		}
		found = append(found, finding{
			Severity: severity,
			Where:    where,
			Text:     "there is no project " + slug + ", so no token passes",
			Hint:     hint,
		})
	}
	_, own := j.gate.Issuers[j.app.issuer]
	if who.users == 0 || !own || len(j.gate.Issuers) > 1 {
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

// missed says what is odd about a rule, empty when nothing is.
func missed(r *Rule, who projectPeople) string {
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

// missing is the finding about a claim that nobody has.
func (p projectPeople) missing(where, text, slug string) finding {
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
	f := finding{Severity: warned, Where: where, Text: text, Hint: hint}
	if p.unknown {
		f.Severity = noted
		f.Hint += "; users in the store were not all looked at"
	}
	return f
}

// have reports whether anybody has a claim, with one of the values if there are any. What the server itself writes into a token
// counts as there.
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
