package integration

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// firefox is what a browser says of itself.
const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

// TestCommandLine uses the program as a person does: with typing errors, URLs for addresses, and at
// a terminal.
func TestCommandLine(t *testing.T) {
	d := newDesk(t)
	d.secret("a password", firstPassword)
	d.object(t, firstPassword+"\n", "user", "add", "alice")
	for _, c := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"device", d.showsBrowsers}, {"address", d.takesURLs}, {"quiet", d.logsNothing}, {"typing errors", d.suggests},
		{"confirmation", d.asksAtATerminal}, {"keygen", d.writesKeys}, {"exit codes", d.saysExitCodes},
	} {
		t.Run(c.name, c.run)
	}
}

// signInWith signs alice in with a program that says this of itself.
func (d *desk) signInWith(t *testing.T, userAgent string) {
	t.Helper()
	a := sendHTTP1(t, d.addr("auth"), call{
		method: http.MethodPost, target: "/api/default/auth/login", host: d.host("auth"),
		lines: []string{"Content-Type: application/json", "User-Agent: " + userAgent},
		body:  `{"username":"alice","password":"` + firstPassword + `"}`,
	})
	if a.status != http.StatusOK {
		t.Fatalf("signing in: status %d: %s", a.status, a.body)
	}
}

func (d *desk) showsBrowsers(t *testing.T) {
	d.signInWith(t, firefox)
	d.signInWith(t, "curl/8.5.0")
	d.signInWith(t, "x\u202e'; DROP TABLE grants")
	table := d.says(t, "", "session", "list")
	for _, want := range []string{"Firefox on Linux", "curl 8.5.0", `"x\u202e'; DROP TABLE grants"`} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %s:\n%s", want, table)
		}
	}
	for _, s := range d.list(t, "session", "list") {
		if s["device"] == "Firefox on Linux" {
			t.Error("JSON has the browser instead of what it said of itself")
		}
	}
}

func (d *desk) takesURLs(t *testing.T) {
	for _, address := range []string{
		"http://" + d.addr("admin"), "http://" + d.addr("admin") + "/", "HTTP://" + d.addr("admin"), d.addr("admin"),
		"tcp/" + d.addr("admin"),
	} {
		if out, errs, code := d.run(t, "", "project", "list", "--address", address); code != 0 || errs != "" ||
			!strings.Contains(out, "default") {
			t.Errorf("%s: exit code %d: %q %s", address, code, out, errs)
		}
	}
	for _, address := range []string{
		"https://" + d.addr("admin"), "http://" + d.addr("admin") + "/auth", "http://user@" + d.addr("admin"),
		"ftp://x",
	} {
		if out, errs, code := d.run(t, "", "project", "list", "--address", address); code != 1 || out != "" ||
			!strings.Contains(errs, "--address") {
			t.Errorf("%s: exit code %d: %q %s", address, code, out, errs)
		}
	}
}

func (d *desk) logsNothing(t *testing.T) {
	for _, args := range [][]string{
		{"project", "list"}, {"session", "list"}, {"keys", "list"}, {"user", "show", "alice"}, {"audit"},
	} {
		if out, errs, code := d.run(t, "", append(args, "--config", d.configFile())...); code != 0 || errs != "" ||
			strings.Contains(out, "level") {
			t.Errorf("%q: exit code %d, standard error %q", args, code, errs)
		}
	}
}

func (d *desk) suggests(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"usr list", `did you mean "user"?`},
		{"user lst", `did you mean "list"?`},
		{"sesion list", `did you mean "session"?`},
		{"chekc", `did you mean "check"?`},
		{"token mnt alice", `did you mean "mint"?`},
		{"user list --projct acme", "did you mean --project?"},
		{"user list --adress x", "did you mean --address?"},
		{"keygen --algo HS256", "did you mean --alg?"},
		{"check --confg x", "did you mean --config?"},
		{"somethingelse", "caddy auth --help"},
		{"user list --somethingelse", "caddy auth user list --help"},
	} {
		out, errs, code := d.run(t, "", strings.Fields(c.args)...)
		if code != 1 || out != "" || !strings.Contains(errs, c.want) ||
			strings.Count(strings.TrimSpace(errs), "\n") != 0 {
			t.Errorf("%s: exit code %d, printed %q, said %q; want %q", c.args, code, out, errs, c.want)
		}
	}
}

// atTerminal runs the program at a terminal, types something, and returns what was on the screen.
func (d *desk) atTerminal(t *testing.T, script, typed string, args ...string) (screen string, code int) {
	t.Helper()
	line := "'" + strings.Join(append([]string{d.program, "auth"}, args...), "' '") + "'"
	cmd := exec.CommandContext(t.Context(), script, "-q", "-e", "-c", line, os.DevNull)
	cmd.Stdin = strings.NewReader(typed)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Error(err)
		return "", -1
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func (d *desk) asksAtATerminal(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("script takes other options there")
	}
	script := requireProgram(t, "script")
	var wait sync.WaitGroup // script takes its time to end
	defer wait.Wait()
	there := func(slug string) bool {
		_, _, code := d.run(t, "", "project", "show", slug, "--address", d.addr("admin"))
		return code == 0
	}
	for _, c := range []struct {
		slug, typed string
		more        []string
		gone        bool
	}{
		{"one", "n\n", nil, false}, {"two", "\n", nil, false}, {"three", "\x04", nil, false},
		{"four", "y\n", nil, true}, {"five", "Yes\n", nil, true}, {"six", "n\n", []string{"--yes"}, true},
	} {
		d.object(t, "", "project", "add", c.slug)
		wait.Go(func() {
			screen, code := d.atTerminal(t, script, c.typed,
				append([]string{"project", "remove", c.slug, "--address", d.addr("admin")}, c.more...)...)
			if asked := strings.Contains(screen, "[y/N]"); asked != (len(c.more) == 0) {
				t.Errorf("%s: asked %v: %s", c.slug, asked, screen)
			}
			if there(c.slug) == c.gone || (code == 0) != c.gone {
				t.Errorf("%s, typed %q: exit code %d, still there: %v: %s", c.slug, c.typed, code, there(c.slug),
					screen)
			}
		})
	}
	for _, args := range [][]string{
		{"user", "remove", "alice"}, {"user", "disable", "alice"}, {"client", "remove", "c"}, {"client", "secret", "c"},
		{"client", "pause", "c"}, {"client", "remove-secret", "c", "1"}, {"project", "pause", "default"},
		{"session", "revoke", "--user", "alice"},
		{"session", "revoke", "x"}, {"keys", "revoke", "k"}, {"token", "revoke-api", "x"},
	} {
		wait.Go(func() {
			screen, code := d.atTerminal(t, script, "n\n", append(args, "--address", d.addr("admin"))...)
			if code != 1 || !strings.Contains(screen, "[y/N]") || !strings.Contains(screen, "nothing was changed") {
				t.Errorf("%q: exit code %d: %s", args, code, screen)
			}
		})
	}
	wait.Go(func() {
		screen, code := d.atTerminal(t, script, "asked\npublic\nhttp://127.0.0.1/cb\n\n",
			"client", "add", "--address", d.addr("admin"))
		c := d.object(t, "", "client", "show", "asked")
		if code != 0 || c["public"] != true || fmt.Sprint(c["redirect_uris"]) != "[http://127.0.0.1/cb]" ||
			fmt.Sprint(c["scopes"]) != "[openid profile email]" ||
			!strings.Contains(strings.Join(strings.Fields(screen), " "), "Client id asked") {
			t.Errorf("exit code %d, %v: %s", code, c, screen)
		}
	})
	d.object(t, "", "project", "add", "piped")
	d.object(t, "n\n", "project", "remove", "piped") // no terminal, no question
}

func (d *desk) writesKeys(t *testing.T) {
	for _, args := range [][]string{{"keygen"}, {"keygen", "--alg", "HS256"}} {
		path := filepath.Join(t.TempDir(), "key")
		out, errs, code := d.run(t, "", append(args, "--out", path)...)
		if code != 0 || out != "" || strings.Contains(errs, "PRIVATE") {
			t.Fatalf("%q: exit code %d, printed %q, said %q", args, code, out, errs)
		}
		info, err := os.Stat(path)
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Fatalf("%q: %v, mode %v", args, err, info.Mode())
		}
		first, err := os.ReadFile(path)
		if err != nil || len(first) < 40 {
			t.Fatalf("%v: %d bytes", err, len(first))
		}
		if out, errs, code = d.run(t, "", append(args, "--out", path)...); code != 1 || out != "" ||
			!strings.Contains(errs, "exists") {
			t.Errorf("again: exit code %d, printed %q, said %q", code, out, errs)
		}
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(first, again) {
			t.Errorf("the file was overwritten: %v", err)
		}
	}
	missing := filepath.Join(t.TempDir(), "none", "key")
	if _, errs, code := d.run(t, "", "keygen", "--out", missing); code != 1 || !strings.Contains(errs, missing) ||
		strings.Contains(errs, "keys {") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	bad := filepath.Join(t.TempDir(), "key")
	if _, _, code := d.run(t, "", "keygen", "--alg", "HS256", "--kid", "a:b", "--out", bad); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(bad); err == nil {
		t.Error("a key that could not be made left a file")
	}
}

func (d *desk) saysExitCodes(t *testing.T) {
	if out, _, _ := d.run(t, "", "--help"); !strings.Contains(out, "Exit codes") {
		t.Errorf("the help says nothing of exit codes:\n%s", out)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"project", "list", "--address", d.addr("admin")}, 0},
		{[]string{"project", "show", "none", "--address", d.addr("admin")}, 1},
		{[]string{"project", "list", "--address", "127.0.0.1:1"}, 1},
		{[]string{"nothing"}, 1},
		{[]string{"check", "--config", filepath.Join(d.dir, "none")}, 1},
	} {
		if _, errs, code := d.run(t, "", c.args...); code != c.code {
			t.Errorf("%q: exit code %d, want %d: %s", c.args, code, c.code, errs)
		}
	}
}
