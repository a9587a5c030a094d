package explain

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddyauth/gateway/caddyauth/module/adminapi"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

// adminTimeout is how long a command waits for an answer that it can do without.
const adminTimeout = 2 * time.Second

var errNotRunning = errors.New("no server with caddyauth answers at the admin endpoint of the configuration")

// RunningStore asks the server that runs with the admin endpoint of this configuration which store
// it uses.
func (d Document) RunningStore() (name string, err error) {
	address := d.AdminAddress()
	if address == "" {
		return "", errNotRunning
	}
	answers := make(chan adminapi.StoreAnswer, 1)
	go func() {
		defer close(answers)
		resp, err := caddycmd.AdminAPIRequest(address, http.MethodGet, adminapi.StorePath, nil, nil)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		var answer adminapi.StoreAnswer
		if json.NewDecoder(resp.Body).Decode(&answer) == nil && answer.Store != "" {
			answers <- answer
		}
	}()
	select {
	case answer, ok := <-answers:
		if ok {
			return answer.Store, nil
		}
	case <-time.After(adminTimeout):
	}
	return "", errNotRunning
}

// SameStore reports whether two names are those of one store. One file may have two paths.
func SameStore(a, b string) bool {
	if a == b {
		return true
	}
	if !filepath.IsAbs(a) || !filepath.IsAbs(b) {
		return false
	}
	infoA, err := os.Stat(a)
	if err != nil {
		return false
	}
	infoB, err := os.Stat(b)
	return err == nil && os.SameFile(infoA, infoB)
}

// storeReport says which store a command has read.
type storeReport struct {
	Name    string `json:"name"`
	Empty   bool   `json:"empty"`             // no server has used it
	Running string `json:"running,omitempty"` // the store of the running server, if it is another one
}

// reportStore says which store was opened, and which one the server uses that runs with the same
// admin endpoint.
func reportStore(ctx context.Context, doc Document, app *auth.App) storeReport {
	r := storeReport{Name: app.Read().Store.Name()}
	if empty, err := app.Read().StoreIsEmpty(ctx); err == nil {
		r.Empty = empty
	}
	if running, err := doc.RunningStore(); err == nil && !SameStore(running, r.Name) {
		r.Running = running
	}
	return r
}

// String returns the report as one line.
func (r storeReport) String() string {
	if r.Empty {
		return "Store: " + terminal.Printable(r.Name) + " (empty: no server has used it)"
	}
	return "Store: " + terminal.Printable(r.Name)
}

func (r storeReport) notes() []string {
	if r.Running == "" {
		return []string{}
	}
	return []string{"the running server uses another store, " + terminal.Printable(r.Running) +
		": its keys and revocations are" +
		" not those that this command has read; run the command as the user of the server and with its environment"}
}
