package auth

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
	"github.com/caddyauth/gateway/caddyauth/module/survey"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

// Launcher knows the applications that gates name, and which of them a person may use: those whose
// gates would let the person pass. Applications are added while gates are provisioned.
type Launcher struct {
	routes  *survey.Survey
	session func(ctx context.Context, raw string) (*token.Token, error)
	cookie  string // the session's

	apps []launched // by name
	once sync.Once
}

// launched is an application with the gates that decide who sees it.
type launched struct {
	config.NamedApplication
	named []survey.Guard // gates that name it: one of them must let the person pass
	met   survey.Met     // gates that its address leads to: all of them must
}

// maxIconSources bounds the content security policy of the start page, which names every origin of
// icons: proxies limit the length of a header.
const maxIconSources = 32

// Add notes that a gate names an application. Several gates may name the same one.
func (l *Launcher) Add(app config.NamedApplication, by survey.Guard) error {
	at, known := slices.BinarySearchFunc(l.apps, app.Name, func(a launched, name string) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(name)), cmp.Compare(a.Name, name))
	})
	if !known {
		l.apps = slices.Insert(l.apps, at, launched{NamedApplication: app, named: []survey.Guard{by}})
		return l.checkIcons(app.Name)
	}
	before := &l.apps[at]
	switch {
	case before.URL.String() != app.URL.String():
		return fmt.Errorf("app %q: two gates give it different URLs, %q and %q", app.Name, before.URL, app.URL)
	case before.Icon != "" && app.Icon != "" && before.Icon != app.Icon:
		return fmt.Errorf("app %q: two gates give it different icons, %.60q and %.60q", app.Name, before.Icon, app.Icon)
	case app.Icon != "":
		before.Icon, before.IconSource = app.Icon, app.IconSource
	}
	before.named = append(before.named, by)
	return l.checkIcons(app.Name)
}

// checkIcons refuses the application that was added if icons come from too many origins with it.
func (l *Launcher) checkIcons(added string) error {
	var sources []string
	for _, a := range l.apps {
		if a.IconSource != "" && !slices.Contains(sources, a.IconSource) {
			sources = append(sources, a.IconSource)
		}
	}
	if len(sources) > maxIconSources {
		return fmt.Errorf(
			"app %q: icons come from more than %d origins; serve them from fewer, or use data:image/ URLs",
			added, maxIconSources)
	}
	return nil
}

// find looks up, once, which gates the addresses of the applications lead to.
func (l *Launcher) find() {
	l.once.Do(func() {
		l.routes.Find() // which tells gates whether paths decide
		for i := range l.apps {
			l.apps[i].met = l.routes.MetAt(l.apps[i].URL)
		}
	})
}

// Any implements login.Launcher.
func (l *Launcher) Any() bool { return len(l.apps) > 0 }

// For implements login.Launcher.
func (l *Launcher) For(r *http.Request) (open []login.Application) {
	session, err := l.session(r.Context(), gate.FindCookie(r, l.cookie))
	if err != nil {
		return nil
	}
	l.find()
	now := time.Now()
	for i := range l.apps {
		if a := &l.apps[i]; a.opensTo(session, now) {
			open = append(open, login.Application{
				Name:       a.Name,
				URL:        a.URL.String(),
				Host:       a.URL.Host,
				Icon:       a.Icon,
				IconSource: a.IconSource,
			})
		}
	}
	return open
}

// opensTo reports whether a person would pass.
func (a *launched) opensTo(session *token.Token, now time.Time) bool {
	passes := func(g survey.Guard) bool { return wouldPass(g.Gate(), a.URL, session, now) }
	return slices.ContainsFunc(a.named, passes) &&
		!slices.ContainsFunc(a.met.Surely, func(g survey.Guard) bool { return !passes(g) })
}

// wouldPass reports whether a gate lets a session pass, if need be after signing in again.
func wouldPass(g *gate.Gate, address *url.URL, session *token.Token, now time.Time) bool {
	err := g.AdmitsSession(address, session, now)
	return err == nil ||
		gate.ReasonOf(err) == gate.InsufficientAuthentication && g.MeetsClasses(issuance.PasswordClass)
}

// findings lists applications whose address leads to none of the gates that name them.
func (l *Launcher) findings() (found []finding.Finding) {
	l.find()
	for i := range l.apps {
		a := &l.apps[i]
		if slices.ContainsFunc(a.named, a.met.Has) {
			continue
		}
		f := finding.Finding{
			Severity: finding.Warning,
			Where:    a.named[0].Describe(),
			Text:     fmt.Sprintf("app %q: no site that has this gate answers %s", a.Name, a.URL),
			Hint:     "correct the URL, or write the line into the gate that stands there",
		}
		if met := slices.Concat(a.met.Surely, a.met.Maybe); len(met) > 0 {
			f.Text = fmt.Sprintf("app %q: %s does not lead to this gate but to the %s; who sees the application is "+
				"decided by both", a.Name, a.URL, met[0].Describe())
		}
		found = append(found, f)
	}
	return found
}
