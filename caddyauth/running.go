package caddyauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// storePath is where the admin endpoint tells which store the running server uses.
const storePath = adminMount + "/store"

// storeAnswer is what it tells.
type storeAnswer struct {
	Store string `json:"store"` // without a password
}

// serveStore answers with the name of the store, also while it cannot be reached.
func (a *App) serveStore(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed")}
	}
	w.Header().Set("Content-Type", "application/json")
	return encodeJSON(w, storeAnswer{a.store.Name()})
}

// patience bounds how long a command waits for an answer that it does not need.
const patience = 2 * time.Second

var errNotRunning = errors.New("no server with caddyauth answers at the admin endpoint of the configuration")

// runningStore asks the server that runs with the admin endpoint of this configuration which store it uses.
func runningStore(d document) (name string, err error) {
	admin, _ := d["admin"].(map[string]any)
	if disabled, _ := admin["disabled"].(bool); disabled {
		return "", errNotRunning
	}
	address, _ := admin["listen"].(string)
	if address = caddy.NewReplacer().ReplaceAll(address, ""); address == "" {
		address = caddy.DefaultAdminListen
	}
	answers := make(chan storeAnswer, 1)
	go func() {
		defer close(answers)
		resp, err := caddycmd.AdminAPIRequest(address, http.MethodGet, storePath, nil, nil)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		var answer storeAnswer
		if json.NewDecoder(resp.Body).Decode(&answer) == nil && answer.Store != "" {
			answers <- answer
		}
	}()
	select {
	case answer, ok := <-answers:
		if ok {
			return answer.Store, nil
		}
	case <-time.After(patience):
	}
	return "", errNotRunning
}

// sameStore reports whether two names are those of one store: of a file it may be reached in two ways.
func sameStore(one, other string) bool {
	if one == other {
		return true
	}
	if !filepath.IsAbs(one) || !filepath.IsAbs(other) {
		return false
	}
	first, err := os.Stat(one)
	if err != nil {
		return false
	}
	second, err := os.Stat(other)
	return err == nil && os.SameFile(first, second)
}
