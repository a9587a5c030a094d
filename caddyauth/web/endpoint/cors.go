package endpoint

import "net/http"

// allowAnyOrigin lets pages of any origin read the answer (Fetch standard, section 3.2). They gain
// no access by it: the endpoints that allow it read no cookies.
func allowAnyOrigin(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, DPoP-Nonce")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
}

// answerPreflight lists what MCP and A2A clients send to every endpoint alike.
func answerPreflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, "+
		"Last-Event-ID, Mcp-Method, Mcp-Name, A2A-Version, A2A-Extensions, DPoP")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
