package caddyauth

import (
	_ "github.com/caddyauth/gateway/caddyauth/module/auth"
)
