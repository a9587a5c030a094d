// Command caddy is Caddy with its standard modules and the caddyauth gateway, and nothing else.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddyauth/gateway/caddyauth"
)

func main() {
	tuneGC()
	caddycmd.Main()
}
