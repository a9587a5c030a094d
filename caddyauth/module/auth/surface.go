package auth

import (
	"context"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
	"github.com/caddyauth/gateway/caddyauth/serve/manage"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// This file is what the handlers and the admin API may ask of an App. All of it is there once the
// App is provisioned; what issues and ends tokens works once Ready returns nil.

// Server returns what the settings mean. It does not change.
func (a *App) Server() *config.Server { return a.server }

// Gates returns what all gates share. It may be added to until the App is started.
func (a *App) Gates() *Gates { return a.gates }

// Verification returns what reads and judges tokens.
func (a *App) Verification() *Verification { return a.verification }

// Services are what signs people in, and issues and ends what they are given.
type Services struct {
	Login   *login.Server
	Issuing *issuance.Service
	Grants  *session.Service
	Keys    *Keys
	Store   *sqlstore.Store
}

// Services returns what signs people in, and issues and ends what they are given.
func (a *App) Services() Services {
	return Services{
		Login:   a.login,
		Issuing: a.issuing,
		Grants:  a.grants,
		Keys:    a.keys,
		Store:   a.store.Store,
	}
}

// Management returns the management API as auth_server has it. It is made anew, so that the caller
// may change where it is mounted and who may call.
func (a *App) Management() *manage.Server { return buildManagement(a) }

// Ready waits until the configuration is in charge, up to five seconds. It returns
// keyring.ErrKeysUnavailable otherwise.
func (a *App) Ready(ctx context.Context) error { return a.charge.ready(ctx) }
