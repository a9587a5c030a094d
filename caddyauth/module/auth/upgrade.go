package auth

import (
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
)

// upgradeVar is where the upgrade of a request is kept between handlers.
const upgradeVar = "caddyauth.upgrade"

// upgradeState is what handlers know about the upgrade that a request asks for, if that is no lone
// WebSocket.
type upgradeState struct {
	protocol, connection []string // the lines that a strip removed
	passed               []string // what a gate let pass
}

// hideUpgrade keeps the lines that a strip is about to remove, as hideSession keeps cookies: the
// strip beside a gate with a matcher runs before the gates without one, which may let the upgrade
// pass.
func hideUpgrade(r *http.Request, vars map[string]any) {
	if vars == nil || vars[upgradeVar] != nil || !gate.WantsUpgrade(r) {
		return
	}
	vars[upgradeVar] = &upgradeState{protocol: r.Header["Upgrade"], connection: r.Header["Connection"]}
}

// BringBackUpgrade undoes hideUpgrade for a gate that lets some pass, which removes all others
// again.
func BringBackUpgrade(r *http.Request, vars map[string]any) {
	hidden, ok := vars[upgradeVar].(*upgradeState)
	if !ok || hidden.protocol == nil {
		return
	}
	r.Header["Upgrade"] = hidden.protocol
	if hidden.connection != nil {
		r.Header["Connection"] = hidden.connection
	}
}

// NotePassedUpgrade tells the strips behind a gate what it let pass.
func NotePassedUpgrade(r *http.Request, vars map[string]any) {
	if gate.WantsUpgrade(r) {
		vars[upgradeVar] = &upgradeState{passed: r.Header["Upgrade"]}
	}
}

// passedUpgrade is what a gate let pass; it is what the gate has left, one line with one protocol.
func passedUpgrade(vars map[string]any) []string {
	if state, ok := vars[upgradeVar].(*upgradeState); ok {
		return state.passed
	}
	return nil
}

// String says nothing: a placeholder may print every variable of a request.
func (*upgradeState) String() string { return "upgrade" }
