package jwtauth

import (
	"strconv"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

// BenchmarkJWTAuthBesideDenials is the directive as it runs in a server: started, with 100 000
// tokens revoked and one order to end all of a user's sessions, which is newer than every token, so
// that each is looked at for its owners, too.
func BenchmarkJWTAuthBesideDenials(b *testing.B) {
	settings, gate := benchGate()
	app, guard := provisioned(b, settings, gate)
	if err := app.startAlone(); err != nil {
		b.Fatal(err)
	}
	denyMany(app)
	benchArms(b, app, guard)
}

func denyMany(app *testApp) {
	until := time.Now().Add(24 * time.Hour)
	for i := range 100_000 {
		app.Services().Grants.DenyList.Add(revocation.Denial{
			Kind:  revocation.TokenKind,
			Scope: app.Server().Issuer,
			ID:    "denied-" + strconv.Itoa(i),
			Until: until,
		})
	}
	app.Services().Grants.DenyList.Add(revocation.Denial{
		Kind:  revocation.UserKind,
		Scope: "default",
		ID:    "mallory",
		Epoch: time.Now().UnixMilli(),
		Until: until,
	})
}
