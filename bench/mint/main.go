// Command mint prints tokens as the server would sign them, one a line, for bench/run.sh. With a
// length all tokens are of it, whatever the algorithm, so that arms differ in the work and not in
// the bytes.
package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// order is what to mint.
type order struct {
	key      *keyring.Key
	issuer   string
	audience string
	id       string // of the one token; empty is a random one for each
	count    int
	length   int // bytes of each token; 0 is whatever comes out
	lifetime time.Duration
	began    time.Time
	filler   string // makes a token as long as it should be
}

func main() {
	o := order{began: time.Now()}
	kid := flag.String("kid", "", "the id of the key")
	keys := flag.String("keys", "", "the file with the key: PEM, or `kid:base64` entries")
	flag.StringVar(&o.issuer, "issuer", "", "the issuer")
	flag.StringVar(&o.audience, "audience", "api", "the audience")
	flag.StringVar(&o.id, "id", "", "the token's id; a random one for each unless given")
	flag.IntVar(&o.count, "count", 1, "how many")
	flag.IntVar(&o.length, "length", 0, "bytes of each token; 0 is whatever comes out")
	flag.DurationVar(&o.lifetime, "lifetime", 6*time.Hour, "how long they are good for")
	flag.Parse()
	if err := o.run(*keys, *kid, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mint:", err)
		os.Exit(1)
	}
}

func (o *order) run(path, kid string, w io.Writer) (err error) {
	if o.issuer == "" || o.count < 1 || o.length < 0 {
		return errors.New("it needs an issuer, and no negative numbers")
	}
	if o.key, err = readKey(path, kid); err != nil {
		return err
	}
	if err := o.fill(); err != nil {
		return err
	}
	lines, err := o.mint()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	for _, line := range lines {
		_, _ = fmt.Fprintln(out, line)
	}
	return out.Flush()
}

// readKey finds a key in a file of either form.
func readKey(path, kid string) (*keyring.Key, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parse := func() ([]*keyring.Key, error) { return keyring.ParseFile(kid, data, "") }
	if !strings.HasPrefix(string(data), "-----BEGIN") {
		parse = func() ([]*keyring.Key, error) { return keyring.ParseSecrets(strings.TrimSpace(string(data)), "") }
	}
	keys, err := parse()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, key := range keys {
		if key.ID() == kid {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%s: no key %q", path, kid)
}

// fill finds the filler with which a token has the length asked for.
func (o *order) fill() error {
	for o.length > 0 {
		raw, err := o.one()
		switch {
		case err != nil:
			return err
		case len(raw) == o.length:
			return nil
		case len(raw) > o.length:
			return fmt.Errorf("%s: a token of %d bytes cannot be had, the next one has %d", o.key.Algorithm(),
				o.length, len(raw))
		}
		o.filler += strings.Repeat("x", max(1, (o.length-len(raw))/2))
	}
	return nil
}

// one mints a token with ten claims of use and, where it has to be longer, a note.
func (o *order) one() (string, error) {
	id := o.id
	if id == "" {
		id = rand.Text()
	}
	extra := map[string]any{"role": "admin", "email": "alice@example.com", "name": "Alice Liddell"}
	if o.filler != "" {
		extra["note"] = o.filler
	}
	return token.Mint(o.key, "at+jwt", token.Claims{
		Issuer:   o.issuer,
		Subject:  "alice",
		Audience: []string{o.audience},
		IssuedAt: o.began,
		Expiry:   o.began.Add(o.lifetime),
		ID:       id,
		ClientID: "caddyauth",
		Project:  "default",
		Session:  rand.Text(),
		Extra:    extra,
	})
}

// mint makes all of them, on all cores.
func (o *order) mint() ([]string, error) {
	lines := make([]string, o.count)
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := worker; i < len(lines) && errs[worker] == nil; i += workers {
				lines[i], errs[worker] = o.one()
			}
		})
	}
	wg.Wait()
	return lines, errors.Join(errs...)
}
