package auth

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

func TestGatesGoOnWithoutTheStoreForAsLongAsTheyMay(t *testing.T) {
	for _, c := range []struct{ setting, allowed time.Duration }{
		{0, pollGrace}, {time.Minute, time.Minute + pollGrace},
	} {
		t.Run(fmt.Sprint(c.setting), func(t *testing.T) {
			value := option.Duration(c.setting)
			app := provisioned(t, config.Settings{
				Issuer: "https://auth.example.com", RevocationStaleness: &value,
				Keys: &config.Keys{Texts: []config.SecretText{{ID: "k", Secret: "0123456789abcdef0123456789abcdef"}}},
			})
			now := time.Now()
			app.charge.away.Store(true) // as when the database is away: nobody waits
			if err := app.verification.Revoked(new(token.Token), now); gate.ReasonOf(err) != gate.RevocationNotChecked {
				t.Errorf("%s: before the list was read once: %v", c.setting, err)
			}
			app.charge.away.Store(false)
			early := make(chan error)
			// A request that comes before Start.
			go func() { early <- app.verification.Revoked(new(token.Token), now) }()
			if err := app.startAlone(); err != nil {
				t.Fatal(err)
			}
			if err := <-early; err != nil {
				t.Errorf("%s: a request that waited for the start: %v", c.setting, err)
			}
			read := time.Now()
			if err := app.verification.Revoked(new(token.Token), read.Add(c.allowed-time.Second)); err != nil {
				t.Errorf("%s: a second before the end: %v", c.setting, err)
			}
			if err := app.verification.Revoked(new(token.Token), read.Add(c.allowed+
				time.Second)); gate.ReasonOf(err) != gate.RevocationNotChecked {
				t.Errorf("%s: a second after the end: %v", c.setting, err)
			}
		})
	}
}
