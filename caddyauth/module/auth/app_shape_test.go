package auth

import (
	"reflect"
	"slices"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/module/config"
)

// TestAppStaysSmall holds what other packages may ask of App, and how much it holds. What belongs
// together goes into a type of its own, as Gates and Verification do. The number only goes down.
func TestAppStaysSmall(t *testing.T) {
	const fields = 12
	if n := reflect.TypeFor[App]().NumField(); n > fields {
		t.Errorf("App has %d fields, at most %d are wanted", n, fields)
	}
	want := []string{
		// Caddy's
		"CaddyModule", "Cleanup", "Provision", "Start", "Stop",
		// for the handlers and adminapi
		"Endpoints", "Gates", "Management", "Ready", "Server", "Services", "Verification",
		// for command and explain
		"AcceptedAudiences", "ExistingSecret", "FetchKeys", "Findings", "MayStart", "OpenForReading", "Read",
		"StoreIsEmpty", "StoreSecret",
	}
	slices.Sort(want)
	settings := reflect.TypeFor[*struct{ config.Settings }]()
	var got []string
	for method := range reflect.TypeFor[*App]().Methods() {
		if _, promoted := settings.MethodByName(method.Name); !promoted {
			got = append(got, method.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("App's exported methods are\n%q, want\n%q", got, want)
	}
}
