package command

import (
	"reflect"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

func TestIdentityAssertionsOfTheCommandLine(t *testing.T) {
	for _, c := range []struct {
		line string
		want clients.AssertionAudience
		fail string
	}{
		{"https://a.example", clients.AssertionAudience{Issuer: "https://a.example"}, ""},
		{"https://a.example  client_id=x scope=r scope=w resource=https://r?a=b", clients.AssertionAudience{
			Issuer:    "https://a.example",
			ClientID:  "x",
			Scopes:    []string{"r", "w"},
			Resources: []string{"https://r?a=b"},
		}, ""},
		{" ", clients.AssertionAudience{}, "has no issuer"},
		{"https://a.example scope", clients.AssertionAudience{}, `"scope" is not name=value`},
		{"https://a.example scopes=r", clients.AssertionAudience{}, `"scopes" is not client_id, scope or resource`},
	} {
		t.Run(c.line, func(t *testing.T) {
			got, err := parseAssertions([]string{c.line})
			switch {
			case c.fail != "":
				if err == nil || !strings.Contains(err.Error(), c.fail) {
					t.Errorf("%v, want %s", err, c.fail)
				}
			case err != nil || !reflect.DeepEqual(got, []clients.AssertionAudience{c.want}):
				t.Errorf("%v: %+v", err, got)
			}
		})
	}
}
