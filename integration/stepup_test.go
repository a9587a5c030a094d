package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const stepUpSites = authSite + `
{{url "web"}} {
	jwt_auth /strong web api {
		require acr phr
	}
	jwt_auth /fresh web api {
		max_age 3s
		leeway 0s
		require acr phr pwd
	}
	jwt_auth web api
	reverse_proxy {{.Proxy}}
}
`

// TestStepUp: a person whose sign-in is too old is asked again, and passes afterwards.
func TestStepUp(t *testing.T) {
	g := newGateway(t)
	g.load(stepUpAuth, stepUpSites)
	held, a := g.signInAt(t, "auth", "10.3.0.1")
	if a.status != http.StatusOK || held.access == "" {
		t.Fatalf("signing in: %d %s", a.status, a.body)
	}
	ask := func(path string, c cookies, lines ...string) answer {
		return sendHTTP1(t, g.addr("web"), call{target: path, host: g.host("web"), lines: append(c.lines(), lines...)})
	}
	const page = "Accept: text/html"
	if a := ask("/fresh", held); a.status != http.StatusOK {
		t.Fatalf("just signed in: %d %s", a.status, a.reason(t))
	}
	eventually(t, 10*time.Second, func() string {
		if a := ask("/fresh", held); a.status == http.StatusOK {
			return "the sign-in is still young enough"
		}
		return ""
	})
	g.proxy.take()

	a = ask("/fresh", held)
	if challenge := a.header.Get("WWW-Authenticate"); a.status != http.StatusUnauthorized ||
		a.reason(t) != "insufficient_user_authentication" ||
		!strings.HasSuffix(challenge, `acr_values="phr pwd", max_age="3"`) {
		t.Errorf("a program: %d %q %s", a.status, challenge, a.body)
	}
	a = ask("/fresh", held, page)
	location := a.header.Get("Location")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(location, g.url("auth")+"/login?switch=1&next=") {
		t.Errorf("a browser: %d %q", a.status, location)
	}
	form := sendHTTP1(t, g.addr("auth"), call{
		target: strings.TrimPrefix(location, g.url("auth")),
		host:   g.host("auth"), lines: append(held.lines(), page),
	})
	if form.status != http.StatusOK || !strings.Contains(form.body, `id="password"`) {
		t.Errorf("the page does not ask for the password: %d %s", form.status, form.body)
	}
	if seen := g.proxy.take(); len(seen) > 0 {
		t.Errorf("the application saw %d requests", len(seen))
	}
	if a := ask("/other", held); a.status != http.StatusOK {
		t.Errorf("another gate: %d %s", a.status, a.reason(t))
	}

	again, _ := g.signInAt(t, "auth", "10.3.0.1")
	if a := ask("/fresh", again); a.status != http.StatusOK {
		t.Errorf("signed in again: %d %s", a.status, a.reason(t))
	}
	// No sign-in here is of that class, so nobody is sent round in a circle.
	if a := ask("/strong", again, page); a.status != http.StatusUnauthorized || a.header.Get("Location") != "" ||
		!strings.Contains(a.body, "Sign in again") {
		t.Errorf("a class that nobody has: %d %v", a.status, a.header)
	}
}

const stepUpAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	return_to {{url "web"}}
	keys {env.TEST_KEYS} {
		active es1
		file es1 "{{keyfile "es1"}}"
	}
	store "sqlite:{{.Dir}}/auth.db"
	user alice {
		password_hash {{hash "alice"}}
	}
}`
