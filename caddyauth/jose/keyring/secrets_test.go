package keyring

import (
	"encoding/base64"
	"strings"
	"testing"
)

// secretOf is n bytes whose base64 has every special character of both alphabets.
func secretOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(0xfb + i*3)
	}
	return b
}

func TestSecretsAreReadInEverySpelling(t *testing.T) {
	a, b := secretOf(32), secretOf(64)
	for _, c := range []struct{ name, s string }{
		{
			"standard, padded",
			"k1:" + base64.StdEncoding.EncodeToString(a) + ",k2:" + base64.StdEncoding.EncodeToString(b),
		},
		{
			"standard, unpadded",
			"k1:" + base64.RawStdEncoding.EncodeToString(a) + ",k2:" + base64.RawStdEncoding.EncodeToString(b),
		},
		{"URL, padded", "k1:" + base64.URLEncoding.EncodeToString(a) + ",k2:" + base64.URLEncoding.EncodeToString(b)},
		{
			"URL, unpadded",
			"k1:" + base64.RawURLEncoding.EncodeToString(a) + ",k2:" + base64.RawURLEncoding.EncodeToString(b),
		},
		{
			"each its own",
			"k1:" + base64.StdEncoding.EncodeToString(a) + ",k2:" + base64.RawURLEncoding.EncodeToString(b),
		},
		{
			"white space",
			" k1:" + base64.StdEncoding.EncodeToString(a) + " ,\r\n\tk2:" + base64.StdEncoding.EncodeToString(b) + "\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := ParseSecrets(c.s, "")
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				return
			}
			if len(keys) != 2 || keys[0].ID() != "k1" || string(keys[0].secret) != string(a) ||
				keys[1].ID() != "k2" || string(keys[1].secret) != string(b) || keys[1].Algorithm() != "HS256" {
				t.Errorf("%s: %v", c.name, keys)
			}
		})
	}
}

func TestSecretsThatAreRefused(t *testing.T) {
	canary := "Q0FOQVJZ" + strings.Repeat("Q0FOQVJZ", 5) // 36 bytes
	good := "good:" + canary
	for _, c := range []struct{ name, in, alg, want string }{
		{"nothing", "", "", "keys: none given"},
		{"white space", " \n", "", "keys: none given"},
		{"trailing comma", good + ",", "", "entry 2: is empty"},
		{"no kid", canary, "", "entry 1: has no kid"},
		{"empty kid", good + ",:" + canary, "", "entry 2: key id is empty"},
		{"kid with space", "a b:" + canary, "", "entry 1: the kid holds white space"},
		{"kid with control character", "a\x01b:" + canary, "", "control character"},
		{"kid not UTF-8", "a\xff:" + canary, "", "not valid UTF-8"},
		{
			"repeated kid", "k1:" + canary + ",k2:" + canary + ",k1:" + canary, "",
			`entry 3, kid "k1": the id is given to more than one key`,
		},
		{"empty secret", "k1:", "", `entry 1, kid "k1": the secret is empty`},
		{"not base64", good + ",k2:" + canary[:43] + "!", "", `entry 2, kid "k2": the secret is not base64`},
		{"both alphabets", "k2:" + canary + "+-AA", "", `kid "k2": the secret is not base64`},
		{"wrong padding", "k2:" + canary + "=", "", `kid "k2": the secret is not base64`},
		{"stray bits", "k2:" + canary + "QR", "", `kid "k2": the secret is not base64`},
		{"white space inside", "k2:" + canary[:10] + " " + canary[10:], "", `kid "k2": the secret holds white space`},
		{
			"lines without commas", "k1:" + canary + "\nk2:" + canary, "",
			`kid "k1": the secret holds white space; entries are separated by commas`,
		},
		{"second colon", "k1:" + canary + ":" + canary, "", `kid "k1": the secret is not base64`},
		{"short", "k2:" + canary[:40], "", `entry 1, kid "k2": secret is 30 bytes, HS256 needs at least 32`},
		{"short for HS384", "k2:" + canary, "HS384", `secret is 36 bytes, HS384 needs at least 48`},
		{"short for HS512", "k2:" + canary, "HS512", `secret is 36 bytes, HS512 needs at least 64`},
		{"secret for a kid", canary + ":k1", "", "entry 1: the secret is not base64"},
		{"placeholder", "{env.AUTH_JWT_KEYS}", "", "a placeholder that was not resolved"},
		{"placeholder in an entry", "k1:{env." + canary + "}", "", "a placeholder that was not resolved"},
		{"unknown algorithm", good, "HS1", `unknown algorithm "HS1"`},
		{"none", good, "none", `unknown algorithm "none"`},
		{"lower case", good, "hs256", `unknown algorithm "hs256"`},
		{"key pair's algorithm", good, "RS256", "algorithm RS256 takes a key pair"},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := ParseSecrets(c.in, c.alg)
			if err == nil {
				t.Fatalf("read %v", keys)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q", err, c.want)
			}
			for _, leak := range []string{canary[:8], "CANARY", "!"} {
				if strings.Contains(err.Error(), leak) {
					t.Errorf("%q tells of the secret", err)
				}
			}
		})
	}
}

func TestSecretTextIsItsOwnBytes(t *testing.T) {
	text := "correct horse battery staple, often"
	k, err := ParseSecretText("k1", text, "")
	if err != nil {
		t.Fatal(err)
	}
	if string(k.secret) != text || k.Algorithm() != "HS256" {
		t.Errorf("%v", k)
	}
	for _, c := range []struct{ kid, text, alg, want string }{
		{"k1", text[:31], "", `secret_text: key "k1": secret is 31 bytes, HS256 needs at least 32`},
		{"k1", text, "HS512", "HS512 needs at least 64"},
		{"", text, "", "key id is empty"},
		{"k1", text, "ES256", "takes a key pair"},
	} {
		_, err := ParseSecretText(c.kid, c.text, c.alg)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "correct") {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
