package issuance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/backchannel"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// A client verifies the token with the published keys; no gate takes it.
func TestLogoutTokenAsARelyingPartyReadsIt(t *testing.T) {
	for _, algorithm := range keyring.IDTokenAlgorithms() {
		t.Run(algorithm, func(t *testing.T) {
			x, _, ring := relyingParty(t)
			raw, err := x.LogoutToken(t.Context(), backchannel.Notice{
				ClientID: "portal", Algorithm: algorithm, Subject: "Alice", Session: "sign-in",
			}, noon)
			if err != nil {
				t.Fatal(err)
			}
			got := published(t, ring, raw)
			if id, _ := got["jti"].(string); len(id) < 20 {
				t.Errorf("jti %q", id)
			}
			delete(got, "jti")
			want := map[string]any{
				"iss":    "https://iss",
				"aud":    []string{"portal"},
				"iat":    noon.UTC(),
				"exp":    noon.Add(2 * time.Minute).UTC(),
				"sub":    "Alice",
				"sid":    "sign-in",
				"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("claims %v\nwant   %v", got, want)
			}
			first, _, _ := strings.Cut(raw, ".")
			var header struct{ Alg, Typ, Kid string }
			text, _ := base64.RawURLEncoding.DecodeString(first)
			if err := json.Unmarshal(
				text,
				&header,
			); err != nil || header.Alg != algorithm ||
				header.Typ != "logout+jwt" ||
				header.Kid == "" {
				t.Errorf("header %s, %v", text, err)
			}
			keys := func(_ context.Context, kid string) (*keyring.Key, error) { return ring.Key(kid), nil }
			for _, types := range [][]string{nil, {IDTokenType}} {
				v, err := token.NewVerifier([]token.Issuer{{Name: "https://iss", Own: true, Keys: keys, Types: types}})
				if err != nil {
					t.Fatal(err)
				}
				_, err = v.Verify(t.Context(), raw)
				if r, ok := errors.AsType[*token.Refusal](err); !ok || r.Reason != token.WrongType {
					t.Errorf("a verifier of %v: %v", types, err)
				}
			}
		})
	}
}
