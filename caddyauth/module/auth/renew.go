package auth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

// refreshBrowser uses up a browser's refresh token.
func (a *App) refreshBrowser(ctx context.Context, refresh string) (browser.Renewed, error) {
	now := time.Now()
	issued, err := a.issuing.Refresh(ctx, issuance.Refresh{
		Token:    refresh,
		ClientID: clients.FirstParty,
		Browser:  true,
		Now:      now,
	})
	if err != nil {
		return browser.Renewed{}, err
	}
	return a.renewed(login.NewIssued(issued, now)), nil
}

func (a *App) renewed(i login.Issued) browser.Renewed {
	return browser.Renewed{
		AccessToken: i.AccessToken,
		Cookies:     a.login.Cookies(i),
		Reissue:     func(ctx context.Context) (browser.Renewed, error) { return a.accessAgain(ctx, i) },
	}
}

// accessAgain makes another access token for a session that was renewed just now, without using its
// refresh token.
func (a *App) accessAgain(ctx context.Context, i login.Issued) (browser.Renewed, error) {
	var err error
	i.AccessToken, err = a.issuing.Again(ctx, i.RefreshToken, i.ExpiresIn, time.Now())
	return a.renewed(i), err
}

// renewPage renews the session of a page that asks for it.
func (a *App) renewPage(w http.ResponseWriter, r *http.Request) (subject string, expires time.Time, err error) {
	subject, expires, err = a.gates.Sessions.RenewPage(w, r)
	if errors.Is(err, browser.ErrOver) {
		return "", time.Time{}, login.ErrSessionOver
	}
	if err != nil {
		a.logger.Error("renewing a session", zap.Error(err))
	}
	return subject, expires, err
}

// serverWindow is the renewal window of projects that have none of their own.
func (a *App) serverWindow() browser.RenewalWindow {
	return browser.RenewalWindow{Length: a.server.RefreshWindow, Check: a.server.RefreshCheck}
}

// findWindow returns the renewal window of a project.
func (a *App) findWindow(ctx context.Context, slug string) (browser.RenewalWindow, error) {
	p, err := a.store.FindProject(ctx, slug)
	server := a.serverWindow()
	return browser.RenewalWindow{
		Length: cmp.Or(p.RefreshWindow, server.Length),
		Check:  cmp.Or(p.RefreshCheck, server.Check),
	}, err
}
