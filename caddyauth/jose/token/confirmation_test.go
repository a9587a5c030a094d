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
