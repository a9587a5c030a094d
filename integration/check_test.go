package integration

import (
	"fmt"
	"strings"
	"testing"
)

// checkAuth has users whom `check` has something to say about.
const checkAuth = `
	auth {
		issuer {{url "auth"}}
		user alice {
			password_hash {{hash "alice"}}
			claim role admin editor
			claim paid true
		}
		user carol {
			claim name Carol Danvers
		}
		user dora {
			disabled
			claim address Berlin
			claim email_verified yes
			claim nickname := 5
			claim updated_at yesterday
		}
		project acme
		client worker {
			claim tier gold
		}
	}
`

// TestCheckFindings: what is most likely not meant is named, with its place; what is fine is not.
func TestCheckFindings(t *testing.T) {
	for _, c := range []struct {
		name, gate string
		want       []string // besides those about users; %s is the port of the site
	}{
		{"a claim that nobody has", "jwt_auth web {\n require roles admin\n }",
			[]string{
				", gate localhost:%s: require roles admin: no user has the claim, so none of them passes; names " +
					"are exact; " +
					"the claims of project default are: address, email_verified, name, nickname, paid, " +
					"role, tier, updated_at",
			}},
		{
			"a value that nobody has", "jwt_auth web {\n require role admn\n }",
			[]string{"require role admn: no user has such a value"},
		},
		{
			"a denied claim that nobody has", "jwt_auth web {\n deny roles guest\n }",
			[]string{"deny roles guest: no user has the claim, so nobody is refused"},
		},
		{
			"a header that is never set", "jwt_auth web {\n forward mail X-Mail\n }",
			[]string{"forward mail X-Mail: no user of project default has the claim"},
		},
		{"a project that is not declared", "jwt_auth api {\n project acne\n }",
			[]string{
				", gate localhost:%s: project acne not found, so no token passes; add `project acne`, or " +
					"correct the gate",
			}},
		{
			"all is well",
			"jwt_auth web api {\n require role editor\n require paid true\n require tier gold silver\n require " +
				"scope write\n require project default\n" +
				" deny role guest\n forward sub X-Sub\n forward client_id X-Client\n forward_preset remote_user\n }",
			nil,
		},
		{"caches are told late", "header {\n Cache-Control public\n -Server\n }\n jwt_auth web",
			[]string{
				", gate localhost:%s: `header` before it changes Cache-Control when the answer goes out, after the " +
					"gateway has settled the answer",
			}},
		{
			"caches are told late on some paths", "header /a* >cdn-cache-control max-age=60\n jwt_auth web",
			[]string{"changes Cdn-Cache-Control"},
		},
		{
			"a default for caches", "header ?Surrogate-Control max-age=60\n jwt_auth web",
			[]string{"changes Surrogate-Control"},
		},
		{"cookies are deleted late", "header -set-cookie\n jwt_auth web", []string{"changes Set-Cookie"}},
		{
			"cookies are changed late", "header >Set-Cookie (.*) $1;Partitioned\n jwt_auth web",
			[]string{"changes Set-Cookie"},
		},
		{"much is deleted late", "header -Cache*\n jwt_auth web", []string{"changes Cache*"}},
		{"caches are told late around a route", "header >X-Accel-Expires 60\n handle /a* {\n jwt_auth web\n }",
			[]string{"changes X-Accel-Expires", "clients can forge identity headers there"}},
		{
			"caches are kept away late",
			"header {\n Cache-Control \"no-cache, no-store\"\n Expires 0\n " +
				"Pragma no-cache\n -Server\n }\n jwt_auth web",
			nil,
		},
		{
			"caches are told in time",
			"header Cache-Control public\n header ?Cache-Control public\n header -Server\n jwt_auth web", nil,
		},
		{"caches are told late behind the gate", "route {\n jwt_auth web\n header >Cache-Control public\n }", nil},
		{
			"options that mean nothing to another proxy",
			"auth_verdict nginx\n jwt_auth api {\n from insecure_query key\n upgrades tcp\n }",
			[]string{
				", gate localhost:%s: it takes tokens from the query parameter \"key\", which a proxy that asks " +
					"would pass on: such requests are refused",
				", gate localhost:%s: it lets connections be upgraded, and a proxy that asks may only let " +
					"WebSockets pass",
				"URLs end up in logs",
			},
		},
		{
			"a trial for another proxy", "auth_verdict nginx\n jwt_auth web {\n mode report_only\n }",
			[]string{
				"it only reports, and a request that no other gate of the site lets pass is refused",
				"lets forged identity headers through", "clients can forge identity headers there",
			},
		},
		{
			"applications where the gate is",
			"jwt_auth /docs* web {\n app Docs {{url \"app\"}}/docs\n }\n" +
				"@odd header X-Odd *\n jwt_auth @odd web {\n app Odd {{url \"app\"}}/odd\n }",
			nil,
		},
		{"an application beside the gate", "jwt_auth /docs* web {\n app Docs {{url \"app\"}}/doc\n }",
			[]string{"/docs*: app \"Docs\": no site that has this gate answers http://localhost:"}},
		{"an application at another gate",
			"jwt_auth /a* web {\n name first\n app A {{url \"app\"}}/b\n }\n jwt_auth /b* web {\n name second\n }",
			[]string{
				"/b does not lead to this gate but to the gate second",
			}},
		{"an application elsewhere", "jwt_auth web {\n app A https://elsewhere.example\n }",
			[]string{"app \"A\": no site that has this gate answers https://elsewhere.example; correct the URL"}},
		{"a project without users", "jwt_auth api {\n project acme\n require roles admin\n }", nil},
		{"another issuer", "jwt_auth api {\n issuer https://idp.example\n require roles admin\n }", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			auth := strings.Replace(checkAuth, "project acme",
				"project acme\n\t\ttrust https://idp.example {\n\t\t\tjwks https://idp.example/jwks\n\t\t}", 1)
			out, stderr, err := command("", "check", "--config",
				g.configFile(auth, authSite+"\n{{url \"app\"}} {\n"+c.gate+"\nreverse_proxy {{.Proxy}}\n}\n"))
			if err != nil || stderr != "" || !strings.HasSuffix(out, "\nok\n") {
				t.Fatalf("%v %q\n%s", err, stderr, out)
			}
			want := append([]string{
				"warning: user carol: claim name has 2 values: \"Carol\", \"Danvers\"; quotes make one of them: " +
					"claim name \"Carol Danvers\"",
				"warning: user carol: no password_hash",
				"warning: user dora: claim address is not an object as in OpenID Connect, and told to nobody; " +
					"write claim address := `{...}`",
				"warning: user dora: claim email_verified is not a boolean as in OpenID Connect, and told to nobody; " +
					"write claim email_verified true",
				"warning: user dora: claim nickname is not text as in OpenID Connect, and told to nobody; " +
					"write claim nickname and a text",
				"warning: user dora: claim updated_at is not a number as in OpenID Connect, and told to nobody; " +
					"write claim updated_at := 1767225600",
			}, c.want...)
			for _, word := range want {
				word = strings.Replace(word, "gate localhost:%s:", fmt.Sprintf("gate localhost:%d:", g.port("app")), 1)
				if !strings.Contains(out, word) {
					t.Errorf("it should say %s", word)
				}
			}
			if lines := strings.Count(out, "\n"); lines != len(want)+1 {
				t.Errorf("%d lines, want %d", lines, len(want)+1)
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

// TestCheckKnowsTheStore: users and projects that were made through the API count.
func TestCheckKnowsTheStore(t *testing.T) {
	d := newDesk(t)
	site := "\n{{url \"app\"}} {\n jwt_auth api {\n project made\n }\n jwt_auth web {\n require roles chief\n }\n " +
		"respond hello\n}\n"
	config := d.otherFile("gates", d.caddyfile(operatorAuth, authSite+site))
	out, _, err := command("", "check", "--config", config)
	if err != nil || !strings.Contains(out, "project made not found") || !strings.Contains(out, "require roles chief") {
		t.Fatalf("%v\n%s", err, out)
	}
	d.object(t, "", "project", "add", "made")
	d.object(t, "a long password of erin\n", "user", "add", "erin", "--claim", `roles:=["chief"]`)
	if out, _, err = command("", "check", "--config", config); err != nil || strings.Contains(out, "made") ||
		strings.Contains(out, "chief") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestMissingEnvironmentIsNamedAtOnce: by check, by explain and by a load, in the global option and
// in gates; claims are no placeholders.
func TestMissingEnvironmentIsNamedAtOnce(t *testing.T) {
	g := newGateway(t)
	const auth = `
	auth {
		issuer {env.TEST_NO_ISSUER}
		secret {env.TEST_NO_SECRET}
		user alice {
			password_hash {env.TEST_NO_HASH}
			claim text {env.TEST_NO_CLAIM}
		}
		trust {env.TEST_NO_TRUST} {
			jwks https://{env.TEST_NO_HOST}/{env.HOME}
		}
	}
`
	const site = `
{{url "app"}} {
	jwt_auth web {
		resource {env.TEST_NO_RESOURCE}
		require role {env.TEST_NO_ROLE}
		login {env.TEST_NO_LOGIN}
	}
	reverse_proxy {env.TEST_NO_UPSTREAM}
}
`
	config := g.configFile(auth, site)
	inAuth := []string{
		"issuer: ", "{env.TEST_NO_ISSUER}", "{env.TEST_NO_SECRET} (secret)", "{env.TEST_NO_HASH} (password_hash)",
		"{env.TEST_NO_TRUST} (issuer)", "{env.TEST_NO_HOST} (jwks)",
	}
	inGates := []string{"{env.TEST_NO_RESOURCE} (resource)", "{env.TEST_NO_LOGIN} (login)"}
	for _, args := range [][]string{{"check"}, {"explain", "--url", g.url("app")}, {"token", "inspect", "x"}} {
		_, stderr, err := command("", append(args, "--config", config)...)
		want := inAuth
		if args[0] != "token" { // which looks at the global option alone
			want = append(want[:len(want):len(want)], inGates...)
		}
		checkNamed(t, args[0], stderr, err, want)
	}
	err := validate(g.caddyfile(auth, site))
	checkNamed(t, "validate", err.Error(), err, inAuth)

	for _, name := range []string{"ISSUER", "SECRET", "HASH", "TRUST", "HOST"} {
		t.Setenv("TEST_NO_"+name,
			map[string]string{
				"HASH":   cheapHash("x"),
				"SECRET": strings.Repeat("s", 32),
				"TRUST":  "https://idp.example",
			}[name]+"")
	}
	t.Setenv("TEST_NO_ISSUER", "https://auth.example")
	t.Setenv("TEST_NO_HOST", "idp.example")
	err = validate(g.caddyfile(auth, site))
	checkNamed(t, "validate, gates", err.Error(), err,
		[]string{"resource: ", "{env.TEST_NO_RESOURCE}", "{env.TEST_NO_LOGIN} (login)"})
}

func checkNamed(t *testing.T, name, text string, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: nothing is missing", name)
	}
	for _, word := range want {
		if !strings.Contains(text, word) {
			t.Errorf("%s: it should name %s: %s", name, word, text)
		}
	}
	for _, word := range []string{"CLAIM", "ROLE", "UPSTREAM", "HOME"} {
		if strings.Contains(text, word) {
			t.Errorf("%s: it should not name %s: %s", name, word, text)
		}
	}
}
