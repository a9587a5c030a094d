package caddyauth

import (
	"reflect"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/caddyauth/module/authserver"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/jwtauth"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// TestEveryDurationHasYears: no setting reads its length of time in a way of its own.
func TestEveryDurationHasYears(t *testing.T) {
	seen := map[reflect.Type]bool{}
	found := 0
	var walk func(where string, v reflect.Type)
	walk = func(where string, v reflect.Type) {
		switch {
		case v == reflect.TypeFor[caddy.Duration]() || v == reflect.TypeFor[time.Duration]():
			t.Errorf("%s is a %s", where, v)
		case v == reflect.TypeFor[option.Duration]():
			found++
		case v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice || v.Kind() == reflect.Map:
			walk(where, v.Elem())
		case v.Kind() == reflect.Struct && !seen[v]:
			seen[v] = true
			for field := range v.Fields() {
				if field.Tag.Get("json") != "" || field.Anonymous {
					walk(where+"."+field.Name, field.Type)
				}
			}
		}
	}
	walk("Settings", reflect.TypeFor[config.Settings]())
	walk("JWTAuth", reflect.TypeFor[jwtauth.JWTAuth]())
	walk("AuthServer", reflect.TypeFor[authserver.AuthServer]())
	if found < 20 {
		t.Errorf("only %d durations were found", found)
	}
}
