package adminapi

import (
	"encoding/json"
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/module/auth"
)

// StorePath is the path on the admin endpoint that says which store the running server uses.
const StorePath = Mount + "/store"

// StoreAnswer is the answer of StorePath.
type StoreAnswer struct {
	Store string `json:"store"` // without a password
}

// serveStore answers with the name of the store, also while the store cannot be reached.
func serveStore(w http.ResponseWriter, r *http.Request, app *auth.App) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return apiError(http.StatusMethodNotAllowed, "method not allowed")
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(StoreAnswer{app.Services().Store.Name()})
}
