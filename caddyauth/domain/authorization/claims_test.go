package authorization

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestClaimsRequests(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       ClaimsRequest
	}{
		{"none", "", ClaimsRequest{}},
		{"empty", `{}`, ClaimsRequest{}},
		{"null", `{"userinfo":null,"id_token":null,"verified_claims":[1]}`, ClaimsRequest{}},
		// OpenID Connect Core, section 5.5.
		{"specification", `{"userinfo":{"given_name":{"essential":true},"nickname":null,
			"http://example.info/claims/groups":null},
			"id_token":{"auth_time":{"essential":true},"acr":{"values":["urn:mace:incommon:iap:silver"]}}}`,
			ClaimsRequest{
				UserInfo: map[string]ClaimRequest{
					"given_name":                        {Essential: true},
					"nickname":                          {},
					"http://example.info/claims/groups": {},
				},
				IDToken: map[string]ClaimRequest{
					"auth_time": {Essential: true},
					"acr":       {Values: []any{"urn:mace:incommon:iap:silver"}},
				},
			}},
		{"value", `{"id_token":{"sub":{"value":"alice"},"n":{"value":1e2,"values":[true],"x":1}}}`,
			ClaimsRequest{IDToken: map[string]ClaimRequest{
				"sub": {Values: []any{"alice"}},
				"n":   {Values: []any{json.Number("1e2"), true}},
			}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseClaims(c.text)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
}

func TestClaimsRequestsThatAreRefused(t *testing.T) {
	many := make([]string, maxClaimNames+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"c%d":null`, i)
	}
	for _, c := range []struct{ name, text string }{
		{"list", `[]`},
		{"null", `null`},
		{"text", `"userinfo"`},
		{"cut off", `{"userinfo":{`},
		{"two", `{}{}`},
		{"duplicate members", `{"userinfo":{"name":null},"userinfo":{"email":null}}`},
		{"duplicate claims", `{"userinfo":{"name":null,"name":{"essential":true}}}`},
		{"duplicate values", `{"id_token":{"sub":{"value":"alice","value":"bob"}}}`},
		{"duplicate in another spelling", `{"id_token":{"sub":{"value":"alice","v\u0061lue":"bob"}}}`},
		{"list of claims", `{"userinfo":["name"]}`},
		{"claim that is true", `{"userinfo":{"name":true}}`},
		{"claim that is a list", `{"id_token":{"name":[]}}`},
		{"essential text", `{"userinfo":{"name":{"essential":"yes"}}}`},
		{"values that are none", `{"userinfo":{"name":{"values":"x"}}}`},
		{"too long", `{"userinfo":{"name":{"value":"` + strings.Repeat("x", maxClaims) + `"}}}`},
		{"too many", `{"userinfo":{` + strings.Join(many, ",") + `}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := ParseClaims(c.text); err == nil {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestWantedValues: a value that a client demands is compared with what there is, and one that is no
// text is met by nobody.
func TestWantedValues(t *testing.T) {
	for _, c := range []struct {
		text         string
		subject, acr bool // whether alice may answer, and a sign-in of the class "a"
	}{
		{`{"id_token":{"acr":{"essential":true,"values":["b",1,"a"]}}}`, true, true},
		{`{"id_token":{"acr":{"essential":true,"value":"a"}}}`, true, true},
		{`{"id_token":{"acr":{"essential":true,"value":"b"}}}`, true, false},
		{`{"id_token":{"acr":{"essential":true,"value":1}}}`, true, false},
		{`{"id_token":{"acr":{"essential":true,"values":[{"a":1},[],null]}}}`, true, false},
		{`{"id_token":{"acr":{"essential":true,"values":[]}}}`, true, true},
		{`{"id_token":{"acr":{"essential":true}}}`, true, true},
		{`{"id_token":{"acr":{"ESSENTIAL":true,"values":["b"]}}}`, true, true},
		{`{"id_token":{"acr":{"essential":true,"values":["b"],"Values":["a"]}}}`, true, false},
		{`{"id_token":{"acr":{"values":["b"]}}}`, true, true},
		{`{"userinfo":{"acr":{"essential":true,"values":["b"]}}}`, true, true},
		{`{"id_token":{"sub":null},"userinfo":{"sub":{"essential":true}}}`, true, true},
		{`{"id_token":{"sub":{"value":"alice"}}}`, true, true},
		{`{"id_token":{"sub":{"values":["bob","alice"]}}}`, true, true},
		{`{"id_token":{"sub":{"value":"bob"}}}`, false, true},
		{`{"id_token":{"sub":{"value":"Alice"}}}`, false, true},
		{`{"id_token":{"sub":{"value":1}}}`, false, true},
		{`{"userinfo":{"sub":{"values":["bob"]}}}`, false, true},
		{`{"id_token":{"sub":{"value":"alice"}},"userinfo":{"sub":{"value":"bob"}}}`, false, true},
	} {
		t.Run(c.text, func(t *testing.T) {
			r, err := ParseClaims(c.text)
			if err != nil || r.AcceptsSubject("alice") != c.subject || r.AcceptsACR("a") != c.acr {
				t.Errorf("subject %t, class %t, %v", r.AcceptsSubject("alice"), r.AcceptsACR("a"), err)
			}
		})
	}
}

// FuzzClaims: what is read is what the text says, in the spelling of the specification and no other.
func FuzzClaims(f *testing.F) {
	f.Add(`{"userinfo":{"name":{"essential":true}},"id_token":{"acr":{"values":["1"]}}}`)
	f.Add(`{"userinfo":{"name":null},"x":[{}]}`)
	f.Add(`{"id_token":{"a":{"value":{"b":[1,2]}}}}`)
	f.Add(`{"id_token":{"acr":{"Essential":true,"VALUES":["1"]}},"UserInfo":{"name":null}}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseClaims(text)
		if err != nil || text == "" {
			return
		}
		var said map[string]any
		if json.Unmarshal([]byte(text), &said) != nil {
			t.Fatalf("%+v of what is no object", r)
		}
		for name, got := range map[string]map[string]ClaimRequest{"userinfo": r.UserInfo, "id_token": r.IDToken} {
			wishes, _ := said[name].(map[string]any)
			if len(got) != len(wishes) || len(got) > maxClaimNames {
				t.Fatalf("%s: %+v of %v", name, got, wishes)
			}
			for claim, wish := range got {
				members, _ := wishes[claim].(map[string]any)
				values, _ := members["values"].([]any)
				want := len(values)
				if members["value"] != nil {
					want++
				}
				essential, _ := members["essential"].(bool)
				if wish.Essential != essential || len(wish.Values) != want {
					t.Fatalf("%s, %q: %+v of %v", name, claim, wish, members)
				}
			}
		}
		for _, value := range r.IDToken["acr"].Values {
			if class, ok := value.(string); ok && !r.AcceptsACR(class) {
				t.Fatalf("acr %q", class)
			}
		}
	})
}
