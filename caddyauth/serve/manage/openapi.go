package manage

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"strings"
)

// openAPI describes the API (OpenAPI 3.1); the address of the server is filled in.
//
//go:embed openapi.json
var openAPI string

// serverURL stands in openAPI for the public URL.
const serverURL = "https://auth.example.com"

// getOpenAPI answers with the description of the API. It tells nothing about this server but its
// URL.
func (c *call) getOpenAPI() (reply, error) {
	return reply{
		status: http.StatusOK,
		body:   json.RawMessage(strings.Replace(openAPI, serverURL, c.Base.String(), 1)),
	}, nil
}
