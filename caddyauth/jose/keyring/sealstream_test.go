package keyring

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	agefile "filippo.io/age" // the package has a function named age
)

func secretRingOf(t *testing.T, entries ...string) *SecretRing {
	t.Helper()
	for i, e := range entries {
		id, secret, _ := strings.Cut(e, ":")
		entries[i] = id + ":" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(secret, 32)[:32]))
	}
	ring, err := ParseSecretRing(strings.Join(entries, ","))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func sealed(t *testing.T, ring *SecretRing, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := ring.SealStream(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func opened(ring *SecretRing, file []byte) ([]byte, error) {
	r, err := ring.OpenStream(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// TestSealedStreams: who has all secrets of the sealing ring reads, nobody else.
func TestSealedStreams(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 10000) // several chunks
	file := sealed(t, secretRingOf(t, "new:n", "old:o"), content)
	if bytes.Contains(file, content[:16]) {
		t.Error("the content is readable")
	}
	for _, c := range []struct {
		name string
		ring *SecretRing
		want error
	}{
		{"the same", secretRingOf(t, "new:n", "old:o"), nil},
		{"in another order, with another one", secretRingOf(t, "newer:x", "old:o", "new:n"), nil},
		{"without the old one", secretRingOf(t, "new:n"), ErrWrongSecret},
		{"without the new one", secretRingOf(t, "old:o"), ErrWrongSecret},
		{"another secret under the id", secretRingOf(t, "new:x", "old:o"), ErrWrongSecret},
		{"the same secrets under other ids", secretRingOf(t, "a:n", "b:o"), ErrWrongSecret},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := opened(c.ring, file)
			if !errors.Is(err, c.want) || c.want == nil && !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v; want %v", len(got), err, c.want)
			}
		})
	}
}

// TestSealedStreamsAreWhole: no byte can be changed, none is missing, none is added without an
// error.
func TestSealedStreamsAreWhole(t *testing.T) {
	ring := secretRingOf(t, "one:1")
	content := bytes.Repeat([]byte("x"), 3<<16)
	file := sealed(t, ring, content)
	header := bytes.Index(file, []byte("\n--- ")) + 1
	for at := 0; at < len(file); at += 1 + at/64 {
		changed := bytes.Clone(file)
		changed[at] ^= 1
		if got, err := opened(ring, changed); err == nil && bytes.Equal(got, content) {
			t.Errorf("byte %d was changed, and nobody noticed", at)
		}
		if _, err := opened(ring, file[:at]); err == nil {
			t.Errorf("cut off at %d, and nobody noticed", at)
		}
	}
	if _, err := opened(ring, append(bytes.Clone(file), "more"...)); err == nil {
		t.Error("something was added, and nobody noticed")
	}
	if header == 0 {
		t.Error("the file is no age file")
	}
}

// TestSealedStreamsOfOtherForm: what another release or another program wrote is told apart from a
// wrong secret.
func TestSealedStreamsOfOtherForm(t *testing.T) {
	ring := secretRingOf(t, "one:1")
	for _, c := range []struct{ name, file, want string }{
		{"no age file", "SQLite format 3\x00", "not sealed by this version"},
		{"empty", "", "not sealed by this version"},
		{"a later form", string(sealedBy(t, &agefile.Stanza{Type: "caddyauth/2", Args: []string{"x"}})),
			`it has the form "caddyauth/2"`},
		{
			"another program's", string(sealedBy(t, &agefile.Stanza{Type: "X25519", Args: []string{"x"}})),
			"for another recipient",
		},
		{"no argument", string(sealedBy(t, &agefile.Stanza{Type: "caddyauth/1"})), "not sealed by this version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := opened(ring, []byte(c.file)); !errors.Is(err, ErrSealedForm) ||
				!strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// fixedStanza is a recipient with one stanza.
type fixedStanza struct{ stanza *agefile.Stanza }

func (f fixedStanza) Wrap([]byte) ([]*agefile.Stanza, error) { return []*agefile.Stanza{f.stanza}, nil }

func sealedBy(t *testing.T, stanza *agefile.Stanza) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := agefile.Encrypt(&b, fixedStanza{stanza})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
