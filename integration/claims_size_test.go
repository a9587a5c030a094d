package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestClaimsThatDoNotFitTheCookieAreRefused: whatever claims a user may have, they can sign in with
// a browser. The limit is found here, so that what just fits does fit.
func TestClaimsThatDoNotFitTheCookieAreRefused(t *testing.T) {
	g, tokens := apiGateway(t)
	g.secret("mallory's password", malloryPassword)
	made := g.manage(t, "POST", "/api/users", tokens["create"],
		encode(t, map[string]string{"name": "dave", "password": malloryPassword}))
	dave := "/api/users/" + userID(t, made.body)
	set := func(length int) answer {
		return g.manage(t, "PATCH", dave, tokens["admin"],
			encode(t, map[string]any{"claims": map[string]string{"note": strings.Repeat("é", length)}}))
	}
	fits, not := 0, 2000
	for not-fits > 1 {
		switch middle := (fits + not) / 2; set(middle).status {
		case http.StatusOK:
			fits = middle
		case http.StatusUnprocessableEntity:
			not = middle
		default:
			t.Fatal(set(middle).body)
		}
	}
	a := set(not)
	if a.status != http.StatusUnprocessableEntity || errorWord(a) != "invalid_value" ||
		!strings.Contains(a.body, "limit of 3800") {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if got := g.storedUser(t, userID(t, made.body), tokens["admin"]); strings.Count(got, "é") != fits && fits > 0 {
		set(fits)
	}
	c := g.signIn(t, "dave", malloryPassword)
	// At the host of an application the token names the origin, too.
	if size := len("access_token") + len(c.access); size > 3800 || size < 3750 {
		t.Errorf("the largest cookie that is let through has %d bytes", size)
	}
	a = g.manage(t, "POST", "/api/users", tokens["create"],
		encode(t, map[string]any{"name": "eve", "claims": map[string]string{"note": strings.Repeat("é", not+10)}}))
	if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "limit of 3800") {
		t.Errorf("a new user: status %d: %s", a.status, a.body)
	}
	if a := g.manage(t, "PATCH", dave, tokens["admin"], `{"disabled":true}`); a.status != http.StatusOK {
		t.Errorf("another change of a user with much to say: status %d: %s", a.status, a.body)
	}

	// The same limit for users of the Caddyfile; without the audience web there is no cookie.
	declared := func(length int, more string) string {
		return takeoverAuth(more + "\nuser zoe {\n\t\tpassword_hash " + cheapHash(malloryPassword) +
			"\n\t\tclaim note " + strings.Repeat("a", length) + "\n\t}")
	}
	err := g.tryLoad(declared(2*not+20, ""), apiSite)
	if err == nil || !strings.Contains(err.Error(), `user "zoe": claims: `) ||
		!strings.Contains(err.Error(), "limit of 3800") {
		t.Errorf("declared: %v", err)
	}
	g.load(declared(2*fits-20, ""), apiSite)
	g.signIn(t, "zoe", malloryPassword)
	if err := g.tryLoad(declared(2*not+
		20, "audiences api a2a"), strings.Replace(apiSite, "web api", "api", 1)); err != nil {
		t.Errorf("without browsers: %v", err)
	}
}

// setsClaims changes a user's claims with the command.
func (d *desk) setsClaims(t *testing.T) {
	d.object(t, firstPassword, "user", "add", "claire", "--claim", "role=editor", "--claim", "email=c@example.com")
	token := d.logIn(t, "default", "claire", firstPassword, http.StatusOK)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--claim", "role=viewer"}, `{"email":"c@example.com","role":"viewer"}`},
		{
			[]string{"--claim", "team=a", "--claim", "team=b", "--remove-claim", "email"},
			`{"role":"viewer","team":["a","b"]}`,
		},
		{
			[]string{"--claim", "level:=12345678901234567"},
			`{"level":12345678901234567,"role":"viewer","team":["a","b"]}`,
		},
		{[]string{"--clear-claims", "--claim", "role=editor"}, `{"role":"editor"}`},
		{[]string{"--clear-claims"}, `{}`},
	} {
		var user struct{ Claims json.RawMessage }
		d.does(t, &user, "", append([]string{"user", "set", "Claire"}, c.args...)...)
		if got := strings.Join(strings.Fields(string(user.Claims)), ""); got != c.want {
			t.Errorf("%q: %s, want %s", c.args, got, c.want)
		}
	}
	d.passes(t, token, http.StatusUnauthorized)
	out, errs, code := d.run(t, "", "user", "set", "claire", "--address", d.addr("admin"),
		"--claim", "email_verified=true", "--claim", "phone_number_verified:=true", "--claim", "team:=1")
	if code != 0 || !strings.Contains(out, `"email_verified":"true"`) || strings.Count(errs, "\n") != 1 ||
		!strings.Contains(errs, "no client is told the claim email_verified, because OpenID Connect wants a boolean") {
		t.Errorf("a claim of another type: %d, %q\n%s", code, errs, out)
	}
	d.fails(t, "duplicate member", "", "user", "set", "claire", "--claim", `x:={"a":1,"a":2}`)
	d.fails(t, "nothing to change", "", "user", "set", "claire")
	d.fails(t, `"iss" is reserved`, "", "user", "set", "claire", "--claim", "iss=me")
	d.fails(t, `no claim "gone"`, "", "user", "set", "claire", "--remove-claim", "gone")
	d.fails(t, "limit of 3800", "", "user", "set", "claire", "--claim", "note="+strings.Repeat("a", 3000))
	d.fails(t, "limit of 3800", firstPassword, "user", "add", "clara", "--claim", "note="+strings.Repeat("a", 3000))
	d.fails(t, "the Caddyfile declares the user", "", "user", "set", "root", "--claim", "role=chief")
	var long []string
	for i := range 20 {
		long = append(long, "--claim", fmt.Sprintf("claim-%02d=a rather long value", i))
	}
	d.object(t, "", append([]string{"user", "set", "claire"}, long...)...)
	if out := d.says(t, "", "user", "show", "claire"); !strings.Contains(out, "claim-19") ||
		!strings.Contains(out, "claim-00") {
		t.Errorf("it does not show all claims:\n%s", out)
	}
	for _, c := range []struct {
		name  string
		admin bool
	}{{"claire", false}, {"root", true}} {
		if u := d.object(t, "", "user", "show", c.name); u["admin"] != c.admin {
			t.Errorf("show %s: %v", c.name, u)
		}
	}
	d.object(t, "", "user", "remove", "claire")
}
