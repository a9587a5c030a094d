package token

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// vectorFolder finds the folder of the public test vectors: Project Wycheproof's JWS files and the
// JOSE cookbook (RFC 7520). Without it the tests are skipped, unless CI_REQUIRE_ALL=1 says that
// nothing may be.
func vectorFolder(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("CADDYAUTH_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "vectors")
	}
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if os.Getenv("CI_REQUIRE_ALL") == "1" {
		t.Fatalf("no test vectors in %s, and CI_REQUIRE_ALL=1", dir)
	}
	t.Skipf("no test vectors in %s; CADDYAUTH_VECTORS names another folder", dir)
	return ""
}

func readVectors(t *testing.T, into any, path ...string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// keyRefused is the verdict when the keyring would not load the vector's key at all.
const keyRefused Reason = "key refused"

// signatureVerdict is how far a vector gets up to its signature. What the vectors sign are no
// claims, so the whole Verify refuses every one of them, and says for those that are well signed
// that it was the claims.
func signatureVerdict(t *testing.T, raw string, keys []*keyring.Key) Reason {
	t.Helper()
	v := ownVerifier(t, keys...)
	_, err := v.Verify(t.Context(), raw)
	whole := reasonOf(t, err)
	if whole == "accepted" {
		t.Errorf("accepted as a whole: %s", raw)
	}
	signed := reasonOf(t, signedByOneOf(t.Context(), v, raw))
	if signed == "accepted" && whole != Malformed || signed != "accepted" && signed != UnknownKey && signed != whole {
		t.Errorf("%s up to the signature, %s as a whole: %s", signed, whole, raw)
	}
	return signed
}

func signedByOneOf(ctx context.Context, v *Verifier, raw string) error {
	s := scratches.Get().(*scratch)
	defer s.release()
	c, err := s.split(raw)
	if err != nil {
		return err
	}
	h, err := s.header(c.header)
	if err != nil {
		return err
	}
	iss, key := v.holder(ctx, h.kid)
	if iss == nil {
		return refuse(UnknownKey, "")
	}
	return iss.check(key, c, h)
}

type wycheproof struct {
	NumberOfTests int
	TestGroups    []struct {
		Comment         string
		Public, Private json.RawMessage
		Tests           []struct {
			ID      int `json:"tcId"`
			Comment string
			JWS     json.RawMessage
			Result  string
		}
	}
}

const (
	signatureFile = "json_web_signature_test.json"
	keyFile       = "json_web_key_test.json"
	cryptoFile    = "json_web_crypto_test.json"
)

// refusal is a valid vector that our policy refuses.
type refusal struct {
	reason Reason
	why    string
}

var (
	noPayload   = refusal{Malformed, "an empty payload segment holds no claims"}
	noP521      = refusal{keyRefused, "ES512 is not supported"}
	otherAlg    = refusal{BadAlgorithm, "the key says PS256, the header PS384"}
	notBase64   = refusal{Malformed, "a character outside the alphabet of base64url"}
	noKeyID     = refusal{UnknownKey, "without kid no key is tried"}
	notCompact  = refusal{Malformed, "the JSON serialization is not read"}
	notAttached = refusal{Malformed, "detached content leaves the payload segment empty"}
)

// policy lists every valid Wycheproof vector that is refused up to its signature.
var policy = map[string]refusal{
	signatureFile + "/259": noPayload,
	signatureFile + "/264": noPayload,
	signatureFile + "/268": noPayload,
	signatureFile + "/272": noPayload,
	signatureFile + "/320": noPayload,
	signatureFile + "/325": noPayload,
	signatureFile + "/346": otherAlg,
	signatureFile + "/347": noP521,
	signatureFile + "/350": otherAlg,
	signatureFile + "/351": noP521,
	signatureFile + "/372": notBase64,
	signatureFile + "/373": notBase64,
}

// mislabelled are vectors called invalid that are byte by byte the valid vector 357: their padding
// got lost on the way into the file.
var mislabelled = map[string]bool{signatureFile + "/367": true, signatureFile + "/370": true}

const valid357 = "eyJraWQiOiJoczI1Ni1rZXkiLCJhbGciOiJIUzI1NiJ9.VGVzdA.c1LROH7eNQwUT8KMVEO52VC3WZ9e_AnDWbZ7aMmowV8"

// tally counts what a run of vectors came to, so that none drops out unseen.
type tally struct{ vectors, valid, refused int }

func TestWycheproof(t *testing.T) {
	dir := vectorFolder(t)
	var got tally
	for _, name := range []string{signatureFile, keyFile, cryptoFile} {
		var file wycheproof
		readVectors(t, &file, dir, name)
		for _, group := range file.TestGroups {
			jwk := group.Public
			if jwk == nil {
				jwk = group.Private
			}
			keys, err := keyring.ParseFile("", jwk, "")
			for _, test := range group.Tests {
				if test.JWS == nil {
					continue // JWE
				}
				verdict := keyRefused
				if err == nil {
					verdict = signatureVerdict(t, rawOf(test.JWS), keys)
				}
				id := fmt.Sprintf("%s/%d", name, test.ID)
				valid := test.Result == "valid" || mislabelled[id] && rawOf(test.JWS) == valid357
				got.count(t, id+" ("+group.Comment+", "+test.Comment+")", valid, verdict, policy[id])
			}
		}
	}
	if want := (tally{vectors: 476, valid: 57, refused: len(policy)}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// count holds a verdict against what the vector says and what is listed.
func (c *tally) count(t *testing.T, id string, valid bool, verdict Reason, listed refusal) {
	t.Helper()
	c.vectors++
	if !valid {
		if verdict == "accepted" {
			t.Errorf("%s: invalid but accepted", id)
		}
		return
	}
	c.valid++
	if verdict == "accepted" {
		if listed.why != "" {
			t.Errorf("%s: accepted, but listed as refused because %s", id, listed.why)
		}
		return
	}
	c.refused++
	if verdict != listed.reason {
		t.Errorf("%s: valid but refused: %s, listed %q", id, verdict, listed.reason)
	}
}

// rawOf returns a vector's compact text, or the JSON serialization as it stands.
func rawOf(jws json.RawMessage) string {
	var compact string
	if json.Unmarshal(jws, &compact) == nil {
		return compact
	}
	return string(jws)
}

// cookbook lists the JWS examples of RFC 7520 section 4, RFC 7797 and RFC 8037; all are valid.
var cookbook = []struct {
	name   string
	listed refusal
}{
	{"jws_4_1.rsa_v15_signature.json", refusal{}},
	{"jws_4_2.rsa-pss_signature.json", refusal{}},
	{"jws_4_3.ecdsa_signature.json", noP521},
	{"jws_4_4.hmac-sha2_integrity_protection.json", refusal{}},
	{"jws_4_5.signature_with_detached_content.json", notAttached},
	{"jws_4_6.protecting_specific_header_fields.json", notCompact},
	{"jws_4_7.protecting_content_only.json", notCompact},
	{"jws_4_8.multiple_signatures.json", notCompact},
	{"curve25519_jws.json", noKeyID},
	{"rfc7797_4.2.hmac-sha2_b64_false.json", notCompact},
	{"rfc7797_hmac-sha2_b64_false.json", refusal{Malformed, "an unencoded payload is no base64url (RFC 7797)"}},
}

func TestCookbook(t *testing.T) {
	dir := vectorFolder(t)
	var got tally
	for _, c := range cookbook {
		t.Run(c.name, func(t *testing.T) {
			var example struct {
				Input struct {
					Key json.RawMessage
					Alg any
				}
				Output struct {
					Compact string
					JSON    json.RawMessage
				}
			}
			readVectors(t, &example, dir, "cookbook", c.name)
			raw := example.Output.Compact
			if raw == "" {
				raw = string(example.Output.JSON)
			}
			algorithm, _ := example.Input.Alg.(string)
			verdict := keyRefused
			keys, err := keyring.ParseFile("", example.Input.Key, algorithm)
			if err != nil && c.listed.reason != keyRefused { // a key without kid, or several: the form alone decides
				keys, err = []*keyring.Key{newMaterial(t, "k", "HS256").key}, nil
			}
			if err == nil {
				verdict = signatureVerdict(t, raw, keys)
			}
			got.count(t, c.name, true, verdict, c.listed)
		})
	}
	if want := (tally{vectors: 11, valid: 11, refused: 8}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
