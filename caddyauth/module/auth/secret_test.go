package auth

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/module/config"
)

func TestALostSecretIsNotReplacedByAnother(t *testing.T) {
	settings := config.Settings{Issuer: "https://auth.example.com", Store: filepath.Join(t.TempDir(), "auth.db")}
	first := provisioned(t, settings)
	if err := first.startAlone(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(secretFile()); err != nil {
		t.Fatal(err)
	}
	// in a data directory of its own, which has no secret
	second := provisioned(t, settings)
	if err := second.Start(); err == nil ||
		!strings.Contains(err.Error(), "not the secret the store was created with") {
		t.Fatalf("a store opened without its secret: %v", err)
	}
	if _, err := os.Stat(secretFile()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a new secret stands in the place of the lost one: %v", err)
	}
}
