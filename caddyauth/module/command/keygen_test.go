package command

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// TestCommandKeygenIsTakenBack: what the command prints works as the hint says, for every
// algorithm.
func TestCommandKeygenIsTakenBack(t *testing.T) {
	for _, algorithm := range keyring.Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			var out, hint bytes.Buffer
			if err := keygen(&out, &hint, algorithm, "key-2026", time.Now()); err != nil {
				t.Fatal(err)
			}
			keys, err := takeBack(out.Bytes(), hint.String(), algorithm)
			if err != nil {
				t.Fatal(err)
			}
			ring, err := keyring.NewRing(keys, "key-2026")
			if err != nil {
				t.Fatal(err)
			}
			if ring.Active().ID() != "key-2026" || ring.Active().Algorithm() != algorithm {
				t.Errorf("the ring signs with %s as %s", ring.Active().ID(), ring.Active().Algorithm())
			}
			if strings.Contains(hint.String(), "PRIVATE") ||
				strings.Contains(hint.String(), ":") && strings.HasPrefix(algorithm, "HS") {
				t.Errorf("the hint holds the key: %s", hint.String())
			}
		})
	}
}

// takeBack reads a printed key as the options `keys` and `file` do.
func takeBack(printed []byte, hint, algorithm string) ([]*keyring.Key, error) {
	if strings.HasPrefix(algorithm, "HS") {
		return keyring.ParseSecrets(string(printed), algorithm)
	}
	if !strings.Contains(hint, "file key-2026 ") {
		return nil, fmt.Errorf("the hint does not name the file: %s", hint)
	}
	if !strings.Contains(hint, "algorithm "+algorithm) {
		algorithm = "" // it is told from the key
	}
	return keyring.ParseFile("key-2026", printed, algorithm)
}

func TestCommandKeygenRefuses(t *testing.T) {
	for _, c := range []struct {
		want string
		args [2]string
	}{
		{"--alg", [2]string{"ES257", ""}}, {`"a,b"`, [2]string{"HS256", "a,b"}}, {`"a:b"`, [2]string{"HS256", "a:b"}},
		{`"a b"`, [2]string{"HS512", "a b"}}, {"--kid: ", [2]string{"ES256", "a\nb"}},
	} {
		t.Run(c.want, func(t *testing.T) {
			var out, hint bytes.Buffer
			err := keygen(&out, &hint, c.args[0], c.args[1], time.Now())
			if err == nil || !strings.Contains(err.Error(), c.want) || out.Len() > 0 ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %v, printed %q", c.args, err, out.String())
			}
		})
	}
}

// TestCommandKeygenMakesItsOwnID: without --kid each key has its own id, and the printed one is
// used.
func TestCommandKeygenMakesItsOwnID(t *testing.T) {
	var first, second, hint bytes.Buffer
	if err := errors.Join(keygen(&first, &hint, "HS256", "", time.Now()),
		keygen(&second, &hint, "HS256", "", time.Now())); err != nil {
		t.Fatal(err)
	}
	one, _, _ := strings.Cut(first.String(), ":")
	two, _, _ := strings.Cut(second.String(), ":")
	if one == "" || one == two {
		t.Errorf("ids %q and %q", one, two)
	}
}
