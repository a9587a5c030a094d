package integration

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/integration/documents"
)

// migration is a section of docs/migrating.md about the settings of another server: the names that
// it must translate, the environment that its Caddyfiles read, and what they must come to, in the
// order in which they stand.
type migration struct {
	section     string
	names       []string
	environment map[string]string
	lifetimes   []migratedLifetimes
}

// migratedLifetimes are lifetimes of adapted settings, zero where none is set.
type migratedLifetimes struct {
	access, refresh, absolute time.Duration
	preset                    string
}

const migratedDay = 24 * time.Hour

var migrations = []migration{
	{
		section: "systemprompt",
		names: []string{
			"jwt_issuer", "jwt_access_token_expiration", "jwt_refresh_token_expiration", "jwt_audiences",
		},
		lifetimes: []migratedLifetimes{{preset: "production"}, {preset: "development"}},
	},
	{
		section:     "LightNap",
		names:       []string{"Jwt.Key", "Jwt.Issuer", "Jwt.Audience", "Jwt.ExpirationMinutes"},
		environment: map[string]string{"Jwt__Key": "any text of 32 characters or more"},
		lifetimes:   []migratedLifetimes{{access: 2 * time.Hour, refresh: 30 * migratedDay}},
	},
	{
		section: "Environment of OAuth servers",
		names: []string{
			"ACCESS_TOKEN_TTL", "REFRESH_TOKEN_TTL", "CODE_TTL", "DEVICE_CODE_TTL", "ID_TOKEN_TTL",
			"REFRESH_TOKEN_ROTATION", "REFRESH_TOKEN_REUSE_INTERVAL", "REFRESH_TOKEN_ABSOLUTE_TTL",
			"ACCESS_TOKEN_FORMAT", "JWT_ALGORITHM", "INTROSPECTION_CACHE_TTL", "REVOKE_REFRESH_ON_PASSWORD_CHANGE",
			"REVOKE_ALL_ON_LOGOUT",
		},
		environment: map[string]string{
			"ACCESS_TOKEN_TTL": "900", "REFRESH_TOKEN_TTL": "86400", "REFRESH_TOKEN_ABSOLUTE_TTL": "172800",
			"ACCESS_TOKEN_FORMAT": "opaque", "REFRESH_TOKEN_REUSE_INTERVAL": "10", "INTROSPECTION_CACHE_TTL": "30",
		},
		lifetimes: []migratedLifetimes{{access: 15 * time.Minute, refresh: migratedDay, absolute: 2 * migratedDay}},
	},
	{
		section: "Jambo",
		names:   []string{"jwt_access_ttl", "jwt_refresh_ttl", "settings/jwt-ttl"},
	},
	{
		section: "Authara",
		names: []string{
			"AUTHARA_JWT_ISSUER", "AUTHARA_JWT_ACTIVE_KEY_ID", "AUTHARA_JWT_KEYS", "AUTHARA_ACCESS_TOKEN_TTL_MINUTES",
		},
		environment: map[string]string{
			"AUTHARA_JWT_ISSUER": "authara", "AUTHARA_JWT_ACTIVE_KEY_ID": "key-2026-01",
			"AUTHARA_JWT_KEYS":                 autharaKeys,
			"AUTHARA_ACCESS_TOKEN_TTL_MINUTES": "20",
		},
		lifetimes: []migratedLifetimes{
			{access: 20 * time.Minute, refresh: 14 * migratedDay, absolute: 60 * migratedDay},
		},
	},
}

// autharaKeys is the example of Authara's documentation.
const autharaKeys = "key-2026-01:VZp2u1sYz0g2nF2vY8q8dP7cZQpL5cRrXn0k7FZ0xkE=," +
	"key-2025-09:Qk8K6E3XrV6mF4T9yZcA2p9xYbDqZpM0JwH3uZ8sL1E="

// section returns the text of docs/migrating.md under a heading.
func (m migration) text(t *testing.T) string {
	t.Helper()
	_, rest, found := strings.Cut(documents.Read(t, "docs/migrating.md"), "\n### "+m.section+"\n")
	if !found {
		t.Fatalf("docs/migrating.md has no section %q", m.section)
	}
	if end := regexp.MustCompile(`(?m)^##`).FindStringIndex(rest); end != nil {
		rest = rest[:end[0]]
	}
	return rest
}

// TestMigratedCaddyfiles adapts and provisions the Caddyfiles that docs/migrating.md shows for the
// settings of other servers, with the environment of those, and looks at what the lifetimes come
// to.
func TestMigratedCaddyfiles(t *testing.T) {
	for _, m := range migrations {
		t.Run(m.section, func(t *testing.T) {
			t.Setenv("XDG_DATA_HOME", t.TempDir())
			for name, value := range m.environment {
				t.Setenv(name, value)
			}
			blocks := caddyfileBlock.FindAllStringSubmatch(m.text(t), -1)
			if len(blocks) != len(m.lifetimes) {
				t.Fatalf("%d Caddyfiles, want %d", len(blocks), len(m.lifetimes))
			}
			for i, block := range blocks {
				if got := provisionedLifetimes(t, block[1]); got != m.lifetimes[i] {
					t.Errorf("Caddyfile %d: %+v, want %+v", i+1, got, m.lifetimes[i])
				}
			}
		})
	}
}

// provisionedLifetimes provisions a Caddyfile as `caddy validate` does and returns its lifetimes.
func provisionedLifetimes(t *testing.T, text string) migratedLifetimes {
	t.Helper()
	adapted, err := adapt(text)
	if err != nil {
		t.Fatal(err)
	}
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err != nil {
		t.Fatal(err)
	}
	var apps struct {
		Apps struct {
			Auth struct {
				Preset    string `json:"preset"`
				Lifetimes struct {
					Access   time.Duration `json:"access_token"`
					Refresh  time.Duration `json:"refresh_token"`
					Absolute time.Duration `json:"refresh_absolute"`
				} `json:"lifetimes"`
			} `json:"auth"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(adapted, &apps); err != nil {
		t.Fatal(err)
	}
	l := apps.Apps.Auth.Lifetimes
	return migratedLifetimes{l.Access, l.Refresh, l.Absolute, apps.Apps.Auth.Preset}
}

// settingRow is a row of a table of the document, and codeSpan what stands in it as code.
var (
	settingRow = regexp.MustCompile(`(?m)^\| (.*?) \| (.*) \|$`)
	codeSpan   = regexp.MustCompile("`([^`]+)`")
)

// TestMigratedSettings holds the tables: every name of the other server has a row, and what a row
// shows as our setting adapts inside the global option.
func TestMigratedSettings(t *testing.T) {
	for _, m := range migrations {
		rows := settingRow.FindAllStringSubmatch(m.text(t), -1)
		for _, name := range m.names {
			t.Run(m.section+"/"+name, func(t *testing.T) {
				i := slices.IndexFunc(rows, func(row []string) bool { return names(row[1], name) })
				if i < 0 {
					t.Fatalf("no row for %s", name)
				}
			})
		}
		shown := 0
		for _, row := range rows {
			for _, span := range codeSpan.FindAllStringSubmatch(row[2], -1) {
				if !isOption.MatchString(span[1]) {
					continue
				}
				shown++
				t.Run(m.section+"/"+span[1], func(t *testing.T) { adaptsInside(t, span[1]) })
			}
		}
		if shown == 0 {
			t.Errorf("%s: no row shows one of our settings", m.section)
		}
	}
}

// names reports whether a cell shows a setting of that name: the name is not a part of a longer
// one.
func names(cell, name string) bool {
	return regexp.MustCompile(`(^|[^A-Za-z_])` + regexp.QuoteMeta(name) + `($|[^A-Za-z_])`).MatchString(cell)
}

// isOption tells a setting with its value from the bare name of one.
var isOption = regexp.MustCompile(`^[a-z_]+ \S`)

// adaptsInside adapts an option, whose blocks stand on one line, as the only one beside the issuer.
func adaptsInside(t *testing.T, option string) {
	t.Helper()
	lines := strings.NewReplacer(" { ", " {\n", " }", "\n}").Replace(option)
	if !strings.HasPrefix(option, "issuer ") {
		lines = "issuer https://auth.example.com\n" + lines
	}
	if _, err := adapt("{\nauth {\n" + lines + "\n}\n}\n"); err != nil {
		t.Error(err)
	}
}

// TestAutharaKeysWorkUnchanged runs the document's Caddyfile on Authara's own key string: tokens
// that other software signs with either key pass the gate, and a token of ours is signed with the
// active key, so that software that has the keys can verify it.
func TestAutharaKeysWorkUnchanged(t *testing.T) {
	for _, c := range []struct{ name, keys string }{
		{"one line", autharaKeys},
		{"an entry on each line", "\n  " + strings.Replace(autharaKeys, ",", ",\n  ", 1) + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			m := migrations[slices.IndexFunc(migrations, func(m migration) bool { return m.section == "Authara" })]
			for name, value := range m.environment {
				t.Setenv(name, value)
			}
			t.Setenv("AUTHARA_JWT_KEYS", c.keys)
			g.loadMigrated(t, caddyfileBlock.FindStringSubmatch(m.text(t))[1])
			for entry := range strings.SplitSeq(autharaKeys, ",") {
				kid, text, _ := strings.Cut(entry, ":")
				g.secret("a key of Authara", text)
				raw := signedOutside(t, g.tokens, kid, text)
				if a := g.get(t, "app", "/", raw); a.status != http.StatusOK {
					t.Errorf("a token signed with %s: status %d, reason %q", kid, a.status, a.reason(t))
				}
				forged := signedOutside(t, g.tokens, kid, base64.StdEncoding.EncodeToString(make([]byte, 32)))
				if a := g.get(t, "app", "/", forged); a.status != http.StatusUnauthorized ||
					a.reason(t) != "bad_signature" {
					t.Errorf("a token signed with another key: status %d, reason %q", a.status, a.reason(t))
				}
			}
			s, a := g.apiLoginBelow(t, "/auth", "app")
			if a.status != http.StatusOK {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			if got := lifetimeOf(t, s.Access); got != 20*60 {
				t.Errorf("a token of ours lives %d s", got)
			}
			verifiedOutside(t, s.Access, "key-2026-01",
				strings.TrimPrefix(strings.Split(autharaKeys, ",")[0], "key-2026-01:"))
		})
	}
}

// loadMigrated runs a Caddyfile of the document on a free port, in front of the recorder, with a
// user.
func (g *gateway) loadMigrated(t *testing.T, text string) {
	t.Helper()
	text = strings.ReplaceAll(text, "https://app.example.com", g.url("app"))
	text = strings.ReplaceAll(text, "\napp.example.com {", "\n"+g.url("app")+" {\n\tlog")
	text = strings.ReplaceAll(text, "app:8080", "{{.Proxy}}")
	text = strings.Replace(text, "\tauth {",
		"\tauth {\n\t\tuser alice {\n\t\t\tpassword_hash {{hash \"alice\"}}\n\t\t}", 1)
	globals, sites, ok := strings.Cut(strings.TrimPrefix(text, "{\n"), "\n}\n")
	if !ok {
		t.Fatal("the Caddyfile has no global options")
	}
	g.load(globals, sites)
}

// apiLoginBelow signs alice in at a server whose routes lie beneath a path.
func (g *gateway) apiLoginBelow(t *testing.T, path, audience string) (s apiSession, a answer) {
	t.Helper()
	a = g.ask(t, "app", call{
		method: http.MethodPost,
		target: path + "/api/default/auth/login",
		lines:  []string{"Content-Type: application/json"},
		body:   encode(t, map[string]string{"username": "alice", "password": alicePassword, "audience": audience}),
	})
	if a.status == http.StatusOK {
		if err := json.Unmarshal([]byte(a.body), &s); err != nil {
			t.Fatal(err)
		}
		g.tokens.remember(s.Access)
		g.hide(s.Refresh)
	}
	return s, a
}

// signedOutside is a token that other software signs with the key of an entry.
func signedOutside(t *testing.T, w *tokenFixture, kid, text string) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	return w.hmacWith(fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":"at+jwt"}`, kid), fmt.Sprintf(
		`{"iss":"authara","sub":"0190b3c8-7b6a-7c1e-9a55-4d2f6c6f9a11","aud":["app"],"iat":%d,"exp":%d,`+
			`"project":"default"}`, now, now+600), key)
}

// verifiedOutside verifies a token as other software does.
func verifiedOutside(t *testing.T, raw, kid, text string) {
	t.Helper()
	parts := strings.Split(raw, ".")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ Alg, Kid string }
	if err := json.Unmarshal(header, &h); err != nil || h.Alg != "HS256" || h.Kid != kid {
		t.Fatalf("the header is %s (%v)", header, err)
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if signature, err := base64.RawURLEncoding.DecodeString(parts[2]); err != nil ||
		!hmac.Equal(signature, mac.Sum(nil)) {
		t.Error("the signature is not that of the active key")
	}
}

// TestJamboCallsWorkUnchanged sends the bodies of Jambo's documentation and reads its answers.
func TestJamboCallsWorkUnchanged(t *testing.T) {
	g, tokens := apiGateway(t)
	ttl := "/api/projects/" + g.projectID(t, "default", tokens["admin"]) + "/settings/jwt-ttl"
	for _, c := range []struct {
		name, method, body, token string
		status                    int
		answer                    string
	}{
		{
			name: "read", method: "GET", token: "create", status: 200,
			answer: `{"jwt_access_ttl":null,"jwt_refresh_ttl":null,` +
				`"defaults":{"access_ttl":900,"refresh_ttl":2592000}}`,
		},
		{
			name: "change", method: "PATCH", token: "create", status: 200,
			body:   `{ "jwt_access_ttl": 300, "jwt_refresh_ttl": 604800 }`,
			answer: `{"jwt_access_ttl":300,"jwt_refresh_ttl":604800}`,
		},
		{
			name: "reset", method: "PATCH", token: "create", status: 200,
			body:   `{ "jwt_access_ttl": 0, "jwt_refresh_ttl": 0 }`,
			answer: `{"jwt_access_ttl":null,"jwt_refresh_ttl":null}`,
		},
		{name: "below a minute", method: "PATCH", token: "create", status: 422, body: `{ "jwt_access_ttl": 59 }`},
		{name: "without the ability", method: "GET", token: "others", status: 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := g.manage(t, c.method, ttl, tokens[c.token], c.body)
			if a.status != c.status || c.answer != "" && strings.TrimSpace(a.body) != c.answer {
				t.Errorf("status %d, want %d: %s, want %s", a.status, c.status, a.body, c.answer)
			}
		})
	}
}
