package integration

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNothingSecretIsStoredAsItIs: who reads the database can present nothing that is in it. It has been
// asked for everything that is a secret of somebody, used and unused.
func TestNothingSecretIsStoredAsItIs(t *testing.T) {
	x := newRegistering(t, "sqlite", "", "")
	x.load(strings.TrimSuffix(authorizeAuth, "}")+`
	client opaque {
		redirect_uri `+rpCallback+`
		secret `+rpSecret+`
		scope openid read
		consent off
		access_token_format opaque
	}
}`, authorizeSites)
	v := x.visitor(t)
	first := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
	second := x.refresh(t, first.Refresh, "")
	unused := v.code(v.get(request(t, "")))
	opaque := x.token(t, "opaque", rpSecret, "", codeForm(v.code(v.get(request(t, "client_id=opaque")))))
	granted, pending := x.device(t, "tv", ""), x.device(t, "tv", "")
	v.post("/device", deviceForm(granted.User, "alice", "allow"))
	tv := x.poll(t, "tv", granted.Device)
	pushed := x.push(t, "rp", "")
	made := x.registered(t)
	x.ask(t, "auth", call{method: http.MethodPost, target: "/revoke", lines: []string{formType, basic("rp", rpSecret)},
		body: url.Values{"token": {second.Access}}.Encode()})
	if tv.status != 200 || !strings.HasPrefix(opaque.Access, "at_") || second.status != 200 {
		t.Fatalf("%+v, %+v, %+v", tv, opaque, second)
	}
	_, reference, _ := strings.Cut(pushed, "request_uri:")
	secrets := map[string]string{
		"a password":                  alicePassword,
		"the sealing secret":          goodSecret,
		"a client's secret":           rpSecret,
		"a registered client's":       made["client_secret"].(string),
		"a registration access token": made["registration_access_token"].(string),
		"an unused code":              unused,
		"a device code":               granted.Device,
		"a pending device code":       pending.Device,
		"a pushed request's name":     reference,
		"an opaque token":             opaque.Access,
		"a used refresh token":        first.Refresh,
		"a refresh token":             second.Refresh,
		"a device's refresh token":    tv.Refresh,
		"an access token":             first.Access,
		"an ID token":                 first.ID,
	}
	u, err := url.Parse(x.url("auth"))
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range v.Jar.Cookies(u) {
		secrets["the cookie "+cookie.Name] = cookie.Value
	}
	files, err := filepath.Glob(filepath.Join(x.dir, "auth.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %q", err, files)
	}
	stored := ""
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stored += string(text)
	}
	if !strings.Contains(stored, pending.User[:4]+pending.User[5:]) { // which is only guessed at slowly
		t.Error("the database is not where it is looked for")
	}
	for name, secret := range secrets {
		// The last part is what proves a token: a MAC or a signature.
		proof := secret[strings.LastIndexByte(secret, '.')+1:]
		if len(proof) < 16 {
			t.Errorf("%s is %d bytes long", name, len(proof))
		}
		if strings.Contains(stored, proof) {
			t.Errorf("%s is stored as it is", name)
		}
	}
}
