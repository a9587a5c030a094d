package caddyauth

import (
	_ "github.com/caddyauth/gateway/caddyauth/module/adminapi"
	_ "github.com/caddyauth/gateway/caddyauth/module/auth"
	_ "github.com/caddyauth/gateway/caddyauth/module/authserver"
	_ "github.com/caddyauth/gateway/caddyauth/module/command"
	_ "github.com/caddyauth/gateway/caddyauth/module/connections"
	_ "github.com/caddyauth/gateway/caddyauth/module/jwtauth"
	_ "github.com/caddyauth/gateway/caddyauth/module/verdict"
)
