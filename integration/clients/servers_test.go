package clients

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// apacheConfig holds the rest of a server: what docs/clients.md shows is put behind it.
const apacheConfig = `ServerRoot "DIR"
ServerName 127.0.0.1
Listen HOST
PidFile DIR/apache.pid
ErrorLog DIR/error.log
ACCOUNTLoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authn_core_module MODULES/mod_authn_core.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule authz_user_module MODULES/mod_authz_user.so
LoadModule headers_module MODULES/mod_headers.so
LoadModule auth_openidc_module MODULES/mod_auth_openidc.so
DocumentRoot "DIR/pages"
Header set X-Remote-User "expr=%{REMOTE_USER}"
`

// TestApache is mod_auth_openidc in front of a page, with the settings of docs/clients.md.
func TestApache(t *testing.T) {
	const modules = "/usr/lib/apache2/modules"
	if _, err := os.Stat(filepath.Join(modules, "mod_auth_openidc.so")); err != nil {
		missing(t, "libapache2-mod-auth-openidc is not installed")
	}
	m, dir := start(t), t.TempDir()
	host := strings.TrimPrefix(m.at("files"), "http://")
	user := ""
	if os.Geteuid() == 0 { // Apache's children have another account, and read the pages
		for _, folder := range []string{dir, filepath.Dir(dir)} {
			if err := os.Chmod(folder, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		user = "User www-data\nGroup www-data\n"
	}
	config := strings.NewReplacer("ACCOUNT", user, "DIR", dir, "HOST", host, "MODULES", modules).Replace(apacheConfig)
	writeFile(t, filepath.Join(dir, "apache.conf"), config+m.settings(t, "mod_auth_openidc", "apache"))
	writeFile(t, filepath.Join(dir, "pages", "page.html"), "an old page")
	m.launch(t, m.at("files"), filepath.Join(dir, "error.log"),
		"/usr/sbin/apache2", "-DFOREGROUND", "-f", filepath.Join(dir, "apache.conf"))

	alice := m.person()
	page, header := alice.read(t, m.at("files")+"/page.html")
	if page != "an old page" || header.Get("X-Remote-User") != aliceName {
		t.Errorf("%s %v", page, header)
	}
	alice.saw(t, "Sign in", "Allow access?")
}

// TestOAuth2Proxy is oauth2-proxy in front of an application, with the settings of docs/clients.md.
func TestOAuth2Proxy(t *testing.T) {
	program := requireProgram(t, "oauth2-proxy")
	m, dir := start(t), t.TempDir()
	host := strings.TrimPrefix(m.at("tools"), "http://")
	writeFile(t, filepath.Join(dir, "pages", "page.html"), "the tools")
	config := strings.Replace(m.settings(t, "oauth2-proxy", "toml"), "http://127.0.0.1:9000",
		"file://"+filepath.Join(dir, "pages")+"/#/", 1)
	writeFile(t, filepath.Join(dir, "proxy.cfg"), config+"cookie_secure = false\nhttp_address = \""+host+
		"\"\nskip_provider_button = true\nset_xauthrequest = true\n")
	t.Setenv("OAUTH2_PROXY_CLIENT_SECRET", secretOf("TOOLS_SECRET"))
	t.Setenv("OAUTH2_PROXY_COOKIE_SECRET", strings.Repeat("c", 32))
	m.launch(t, m.at("tools"), "", program, "--config", filepath.Join(dir, "proxy.cfg"))

	alice := m.person()
	if page, header := alice.read(t, m.at("tools")+"/page.html"); page != "the tools" {
		t.Errorf("%s %v", page, header)
	}
	alice.saw(t, "Sign in", "Allow access?")
}

// launch runs a server until the test ends, and waits until it answers.
func (m *machine) launch(t *testing.T, address, log, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var out strings.Builder
	cmd.Env = append(os.Environ(), "OIDC_PASSPHRASE=a-long-text-of-the-web-server")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // ends the children, too
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("%s\n%s", out.String(), text)
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(30 * time.Millisecond) {
		resp, err := http.Get(address + "/ping")
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
