// Package clients runs third-party clients, as they are published, against a whole gateway: libraries
// from npm and the Go proxy, a browser, Apache and oauth2-proxy. Their settings are those of
// docs/clients.md.
package clients

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddyauth/gateway/caddyauth"
)

// scratch is a folder that lasts as long as the tests of this process.
var scratch string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "caddyauth-clients")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	scratch = dir
	os.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	os.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	code := m.Run()
	if err := errors.Join(caddy.Stop(), checkLog(filepath.Join(dir, "caddy.log"))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

const (
	aliceName     = "alice"
	alicePassword = "wonderland-rabbit-hole"
)

// machine is the gateway of these tests, and where the applications of docs/clients.md are on it.
type machine struct {
	places map[string]string // the address of docs/clients.md, and the one here
	log    string            // the file
	keys   map[string]any    // of the clients that have one, as JWKs
	admin  string            // the address for commands
}

// gateway is shared by all tests: it has all clients of docs/clients.md, and starting it takes longer
// than most of them.
var gateway = sync.OnceValues(func() (*machine, error) {
	m := &machine{places: map[string]string{}, log: filepath.Join(scratch, "caddy.log"), keys: map[string]any{}}
	for _, host := range applications {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		name := "127.0.0.1"
		if host == "auth" || host == "api" || host == "near" {
			name = "localhost" // another host than the applications', so that no cookie is shared
		}
		m.places["https://"+host+".example.com"] = fmt.Sprintf("http://%s:%d", name, port)
	}
	for _, client := range []string{"billing", "bank"} {
		key, err := m.publishKey(client)
		if err != nil {
			return nil, err
		}
		m.keys[client] = key
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	m.admin = fmt.Sprintf("127.0.0.1:%d", port)
	text, err := m.caddyfile()
	if err != nil {
		return nil, err
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	return m, caddy.Load(adapted, true)
})

// start returns the running gateway.
func start(t *testing.T) *machine {
	t.Helper()
	m, err := gateway()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// applications are the hosts below example.com of docs/clients.md, an API of the tests, and near: the
// notes again, on the site of the gateway.
var applications = []string{
	"auth", "api", "wiki", "forum", "files", "tools", "grafana", "notes", "near", "reports", "billing", "bank",
}

// at is where an application of docs/clients.md is on this machine.
func (m *machine) at(host string) string { return m.places["https://"+host+".example.com"] }

// here puts the addresses of this machine into a text of docs/clients.md.
func (m *machine) here(text string) string {
	for there, here := range m.places {
		text = strings.ReplaceAll(text, there, here)
		text = strings.ReplaceAll(text, urlEscaped(there), urlEscaped(here))
	}
	return text
}

// caddyfile is a gateway with the clients of docs/clients.md, and what the tests need besides.
func (m *machine) caddyfile() (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(alicePassword), bcrypt.MinCost)
	if err != nil {
		return "", err
	}
	blocks, err := documentedClients()
	if err != nil {
		return "", err
	}
	for _, name := range secretNames(blocks) {
		os.Setenv(name, secretOf(name))
	}
	blocks += strings.NewReplacer("client notes", "client near", "notes.example", "near.example").
		Replace(notesBlock.FindString(blocks))
	return m.here(fmt.Sprintf(caddyfile, m.admin, m.log, filepath.Join(scratch, "auth.db"), hash, blocks)), nil
}

// notesBlock finds the client of a page of scripts.
var notesBlock = regexp.MustCompile(`client notes \{\n(?:\t.*\n)*\}\n`)

// caddyfile holds places for the admin endpoint, the log, the store, the hash of alice's password, and clients.
const caddyfile = `{
	admin %s
	persist_config off
	auto_https off
	default_bind 127.0.0.1
	grace_period 1s
	log {
		output file %q {
			roll_disabled
		}
		level DEBUG
	}
	auth {
		issuer https://auth.example.com
		store sqlite:%s
		egress {
			allow 127.0.0.0/8 ::1/128
		}
		user alice {
			password_hash %s
			claim name "Alice Liddell"
			claim email alice@example.com
			claim email_verified true
		}
		%s
	}
}
https://auth.example.com {
	log
	auth_server
}
https://api.example.com {
	log
	jwt_auth api {
		forward sub X-User-Id
	}
	respond "hello {header.X-User-Id}"
}
`

// requireProgram finds an installed program, or skips; where everything is promised to be installed
// it fails instead.
func requireProgram(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, strings.Join(names, " or ")+" is not installed")
	return ""
}

// missing skips, or fails where nothing may be missing.
func missing(t *testing.T, word string) {
	t.Helper()
	if os.Getenv("CI_REQUIRE_ALL") == "1" {
		t.Fatal(word)
	}
	t.Skip(word)
}

// tokenLike is what begins with a JOSE header in base64url.
var tokenLike = regexp.MustCompile(`(eyJ[A-Za-z0-9_-]{8,})(\.[A-Za-z0-9_-]+)*`)

// checkLog looks for secrets of people and clients in what the gateway logged, at level DEBUG.
func checkLog(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil // no test started it
	}
	for _, found := range tokenLike.FindAllSubmatch(text, -1) {
		// Caddy logs the header DPoP, whose proof is used up by then, and the address with id_token_hint;
		// nothing takes an ID token for a credential.
		header, _ := base64.RawURLEncoding.DecodeString(string(found[1]))
		if bytes.Contains(header, []byte(`"alg"`)) && !bytes.Contains(header, []byte(`"typ":"dpop+jwt"`)) &&
			!bytes.Contains(header, []byte(`"typ":"JWT"`)) {
			err = fmt.Errorf("the log holds a token: %s", header)
		}
	}
	blocks, readErr := documentedClients()
	err = errors.Join(err, readErr)
	secrets := []string{alicePassword}
	for _, name := range secretNames(blocks) {
		secrets = append(secrets, secretOf(name)[:12]) // the beginning is enough to find it
	}
	for _, secret := range secrets {
		if bytes.Contains(text, []byte(secret)) || bytes.Contains(text, []byte(urlEscaped(secret))) {
			err = errors.Join(err, fmt.Errorf("the log holds the secret %s", secret))
		}
	}
	return err
}

// TestGateway answers what every client asks first.
func TestGateway(t *testing.T) {
	m := start(t)
	resp, err := http.Get(m.at("auth") + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}
