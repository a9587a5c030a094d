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

// renewals renews the sessions of browsers, for gates and for pages that stay open.
type renewals struct {
	issuing *issuance.Service
	login   *login.Server
	store   *pooledStore
	window  browser.RenewalWindow // of projects that have none of their own
	logger  *zap.Logger
}

// refresh uses up a refresh token that a browser has sent to a host.
func (b renewals) refresh(ctx context.Context, refresh, host string) (browser.Renewed, error) {
	now := time.Now()
	issued, err := b.issuing.Refresh(ctx, issuance.Refresh{
		Token:    refresh,
		ClientID: clients.FirstParty,
		Browser:  true,
		Host:     issuance.HostOf(host),
		Now:      now,
	})
	if err != nil {
		return browser.Renewed{}, err
	}
	return b.renewed(login.NewIssued(issued, now)), nil
}

func (b renewals) renewed(i login.Issued) browser.Renewed {
	return browser.Renewed{
		AccessToken: i.AccessToken,
		Cookies:     b.login.Cookies(i),
		Reissue:     func(ctx context.Context) (browser.Renewed, error) { return b.accessAgain(ctx, i) },
	}
}

// accessAgain makes another access token for a session that was renewed just now, without using its
// refresh token.
func (b renewals) accessAgain(ctx context.Context, i login.Issued) (browser.Renewed, error) {
	var err error
	i.AccessToken, err = b.issuing.Again(ctx, i.RefreshToken, i.ExpiresIn, time.Now())
	return b.renewed(i), err
}

// page renews the session of a page that asks for it.
func (b renewals) page(
	sessions *browser.Sessions, w http.ResponseWriter, r *http.Request,
) (subject string, expires time.Time, err error) {
	subject, expires, err = sessions.RenewPage(w, r)
	if errors.Is(err, browser.ErrOver) {
		return "", time.Time{}, login.ErrSessionOver
	}
	if err != nil {
		b.logger.Error("renewing a session", zap.Error(err))
	}
	return subject, expires, err
}

// living reports whether a request brings a session that counts, and renews one that no longer does
// without.
func (b renewals) living(
	sessions *browser.Sessions, w http.ResponseWriter, r *http.Request,
) (living bool, err error) {
	if _, _, living = sessions.Current(r); living {
		return true, nil
	}
	if _, _, err = b.page(sessions, w, r); errors.Is(err, login.ErrSessionOver) {
		return false, nil
	}
	return err == nil, err
}

// findWindow returns the renewal window of a project.
func (b renewals) findWindow(ctx context.Context, slug string) (browser.RenewalWindow, error) {
	p, err := b.store.FindProject(ctx, slug)
	return browser.RenewalWindow{
		Length: cmp.Or(p.RefreshWindow, b.window.Length),
		Check:  cmp.Or(p.RefreshCheck, b.window.Check),
	}, err
}
