package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/integration/documents"
)

// oauthDuty is one duty of a specification, and the test that holds the server to it: the name of a test,
// or the name of a test, a slash and that of a row of its file.
type oauthDuty struct{ duty, answer, test string }

// oauthDuties are the duties by specification, as docs/oauth.md has them.
var oauthDuties = []struct {
	specification string
	duties        []oauthDuty
}{
	{"RFC 6749, OAuth 2.1", authorizationDuties},
	{"RFC 6749, `/token`", tokenDuties},
	{"Refresh tokens", refreshDuties},
	{"RFC 7636, PKCE", pkceDuties},
	{"RFC 8628, devices", deviceDuties},
	{"RFC 7662, RFC 9701, introspection", introspectionDuties},
	{"RFC 7009, revocation", revocationDuties},
	{"RFC 8707, resources", resourceDuties},
	{"RFC 9068, access tokens", accessTokenDuties},
	{"RFC 8414, discovery", discoveryDuties},
	{"RFC 9126, pushed requests", pushedDuties},
	{"RFC 9449, DPoP", dpopDuties},
	{"RFC 8705, client certificates", certificateDuties},
	{"RFC 7523, client assertions", assertionDuties},
	{"RFC 8693, token exchange", exchangeDuties},
	{"Identity assertions (ID-JAG)", identityDuties},
	{"RFC 7591, RFC 7592, registration", registrationDuties},
	{"Client ID Metadata Documents", documentDuties},
	{"OpenID Connect Core", openIDDuties},
	{"RFC 9470, step-up", stepUpDuties},
	{"RP-Initiated and Back-Channel Logout", logoutDuties},
	{"What clients really send", clientDuties},
}

// TestOAuthDocument renders the tables of docs/oauth.md, and looks for every test that they name.
func TestOAuthDocument(t *testing.T) {
	files := testFiles(t)
	var b strings.Builder
	for _, s := range oauthDuties {
		fmt.Fprintf(&b, "### %s\n\n| duty | answer | test |\n| --- | --- | --- |\n", s.specification)
		for _, d := range s.duties {
			function, row, named := strings.Cut(d.test, "/")
			text, found := files[function]
			if !found || named && !strings.Contains(text, `"`+row+`"`) {
				t.Errorf("%s: there is no test %s", d.duty, d.test)
			}
			shown := "`" + function + "`"
			if named {
				shown += ", " + row
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", d.duty, d.answer, shown)
		}
		b.WriteString("\n")
	}
	documents.Compare(t, "docs/oauth.md", "duties", b.String())
}

// testFiles returns the text of the file of every test of the project, by the test's name.
func testFiles(t *testing.T) map[string]string {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	files := map[string]string{}
	root := documents.Root(t)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, match := range function.FindAllStringSubmatch(string(text), -1) {
			files[match[1]] += string(text) // a name may be that of several packages' tests
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
