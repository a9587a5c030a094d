package auth

import (
	"context"
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

// storeReport is which store a command has looked at.
type storeReport struct {
	Name    string `json:"name"`
	Empty   bool   `json:"empty"`             // no server has used it
	Running string `json:"running,omitempty"` // the one of the running server, where that is another one
}

// report says which store was opened, and which one the server uses that runs with the same admin endpoint.
func (a *App) report(ctx context.Context, d document) storeReport {
	r := storeReport{Name: a.store.Name()}
	if secret, err := a.store.Meta(ctx, fingerprintName); err == nil && secret == "" {
		r.Empty = true
	}
	if running, err := runningStore(d); err == nil && !sameStore(running, r.Name) {
		r.Running = running
	}
	return r
}

// String is the report as one line.
func (r storeReport) String() string {
	if r.Empty {
		return "Store: " + plain(r.Name) + " (empty: no server has used it)"
	}
	return "Store: " + plain(r.Name)
}

func (r storeReport) notes() []string {
	if r.Running == "" {
		return []string{}
	}
	return []string{"the running server uses another store, " + plain(r.Running) + ": its keys and revocations are not " +
		"those that were looked at; run the command as the user of the server and with its environment"}
}
