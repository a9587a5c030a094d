package token

import (
	"reflect"
	"testing"
)

const thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" // of RFC 9449, section 6.1

func TestOurOwnTokensMayBeBoundToAKey(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	tok, err := ownVerifier(t, key).Verify(t.Context(),
		sign(t, key, headerOf(key), with("cnf", `{"jkt":"`+thumbprint+`"}`)))
	if err != nil || tok.JKT() != thumbprint {
		t.Fatalf("%+v, %v", tok, err)
	}
	if cnf, ok := tok.Claim("cnf"); !ok || !reflect.DeepEqual(cnf, map[string]any{"jkt": thumbprint}) {
		t.Errorf("cnf is %v", cnf)
	}
	if plain := rich(t); plain.JKT() != "" {
		t.Errorf("a bearer token is bound to %q", plain.JKT())
	}
}

func TestReferencesMayBeBoundToAKey(t *testing.T) {
	claims := `{"iss":"https://auth.example.com","sub":"alice","aud":"web","exp":1790000900,"cnf":{"jkt":"` +
		thumbprint + `"}}`
	from := Issuer{Name: "https://auth.example.com", Own: true}
	tok, err := FromClaims(from, "at_x", []byte(claims))
	if err != nil || tok.JKT() != thumbprint {
		t.Errorf("%+v, %v", tok, err)
	}
	from.Own = false
	if _, err := FromClaims(from, "at_x", []byte(claims)); reasonOf(t, err) != WrongType {
		t.Errorf("a foreign one: %v", err)
	}
}

// A token may be bound to a certificate, in place of a key or besides; one of another issuer only where
// whoever takes it asks for the certificate.
func TestTokensMayBeBoundToACertificate(t *testing.T) {
	const certificate = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0" // of abc; that of RFC 8705 has stray bits
	name := "https://auth.example.com"
	own, asks, other := Issuer{Name: name, Own: true}, Issuer{Name: name, CertificateBound: true}, Issuer{Name: name}
	x5t := `"x5t#S256":"` + certificate + `"`
	for _, tc := range []struct {
		name     string
		from     Issuer
		cnf      string
		jkt, x5t string // both empty: it is refused
	}{
		{"ours", own, x5t, "", certificate},
		{"both", own, x5t + `,"jkt":"` + thumbprint + `"`, thumbprint, certificate},
		{"another issuer's", asks, x5t, "", certificate},
		{"another issuer's, both", asks, x5t + `,"jkt":"` + thumbprint + `"`, "", ""},
		{"another issuer's, where nobody asks", other, x5t, "", ""},
		{"something unknown besides", own, x5t + `,"kid":"a"`, "", ""},
		{"no thumbprint", own, `"x5t#S256":"abc"`, "", ""},
		{"not a text", own, `"x5t#S256":["` + certificate + `"]`, "", ""},
		{"SHA-1", own, `"x5t":"` + certificate + `"`, "", ""},
		{"another case", own, `"x5t#s256":"` + certificate + `"`, "", ""},
		{"nothing", own, ``, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tok, err := FromClaims(tc.from, "at_x", []byte(
				`{"sub":"alice","aud":"web","exp":1790000900,"a":"b","cnf":{`+tc.cnf+`}}`))
			if tc.jkt+tc.x5t == "" {
				if reasonOf(t, err) != WrongType {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || !tok.Bound() || tok.JKT() != tc.jkt || tok.X5T() != tc.x5t {
				t.Fatalf("%+v, %v", tok, err)
			}
			want := map[string]any{"x5t#S256": tc.x5t}
			if tc.jkt != "" {
				want["jkt"] = tc.jkt
			}
			if cnf, ok := tok.Claim("cnf"); !ok || !reflect.DeepEqual(cnf, want) {
				t.Errorf("cnf is %v", cnf)
			}
			if text, ok := tok.Claim("a"); !ok || text != "b" {
				t.Errorf("another claim is %v", text)
			}
		})
	}
	if plain := rich(t); plain.Bound() || plain.X5T() != "" {
		t.Errorf("a bearer token is bound to %q", plain.X5T())
	}
}
