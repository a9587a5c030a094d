package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// Keys says which keys sign and verify the server's own tokens.
type Keys struct {
	// HMAC keys as `kid:base64secret` entries, separated by commas; standard or URL alphabet,
	// padded or not; at least 32 bytes for HS256, 48 for HS384, 64 for HS512. Default: none.
	Secrets string `json:"secrets,omitempty"`

	// HMAC keys given as text instead of base64. Default: none.
	Texts []SecretText `json:"secret_texts,omitempty"`

	// Key files in PEM, JWK or JWKS form. Default: none.
	Files []KeyFile `json:"files,omitempty"`

	// The id of the key that signs; the others verify. Default: the first key that can sign.
	Active string `json:"active,omitempty"`

	// The algorithm of the generated key, of the HMAC keys or of the key files: HS256, HS384,
	// HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA. Default: ES256 for a
	// generated key, HS256 for HMAC keys, the one that fits for key files.
	Algorithm string `json:"algorithm,omitempty"`

	// How long a generated key signs before the next one does; 10m to 1y, 0 or `off` for no
	// automatic rotation. Default: 30d.
	RotateEvery *option.Duration `json:"rotate_every,omitempty"`

	// How long the next generated key is published before it signs; 5m to 30d and less than
	// rotate_every. Default: 1h, or half of rotate_every where that is less.
	Announce option.Duration `json:"announce,omitempty"`
}

// SecretText is an HMAC key given as text.
type SecretText struct {
	// The key's id. Required.
	ID string `json:"id"`
	// The secret, at least 32 bytes; its bytes are the key. Required.
	Secret string `json:"secret"`
}

// KeyFile is a key file.
type KeyFile struct {
	// The key's id. Default: the `kid` of a JWK, or its RFC 7638 thumbprint.
	ID string `json:"id,omitempty"`
	// The file's path. Required.
	Path string `json:"path"`
}

const (
	defaultRotateEvery = 30 * 24 * time.Hour
	defaultAnnounce    = time.Hour
)

// generated reports whether the signing key comes from the store.
func (k *Keys) generated() bool {
	return k == nil || k.Secrets == "" && len(k.Texts) == 0 && len(k.Files) == 0
}

// Validate refuses what can be refused without resolving placeholders.
func (k *Keys) Validate() error {
	if err := k.validateAlgorithm(); err != nil {
		return err
	}
	if k.generated() && k.Active != "" {
		return fmt.Errorf("active: %q names a key, but no keys are given", k.Active)
	}
	return k.validateRotation()
}

// validateRotation refuses values that contradict each other, in whatever order they are written.
func (k *Keys) validateRotation() error {
	for _, d := range k.durations() {
		if err := d.Validate(); err != nil {
			return err
		}
	}
	switch every := k.rotateEvery(); {
	case every > 0 && k.announce() >= every:
		return fmt.Errorf("announce: %s is not less than rotate_every, which is %s",
			project.FormatDuration(k.announce()), project.FormatDuration(every))
	case !k.generated() && k.RotateEvery != nil:
		return errors.New("rotate_every: allowed only with generated keys, and keys are given")
	case !k.generated() && k.Announce != 0:
		return errors.New("announce: allowed only with generated keys, and keys are given")
	}
	return nil
}

func (k *Keys) durations() []option.DurationRange {
	every := k.RotateEvery
	if every == nil {
		every = new(option.Duration)
	}
	return []option.DurationRange{
		{Name: "rotate_every", Value: every, Min: 10 * time.Minute, Max: MaxLifetime},
		{Name: "announce", Value: &k.Announce, Min: 5 * time.Minute, Max: 30 * 24 * time.Hour},
	}
}

func (s *Settings) validateKeys() error {
	if s.Keys == nil {
		return nil
	}
	if err := s.Keys.Validate(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// KeyRotation says how generated keys rotate.
type KeyRotation struct {
	Algorithm  string        // empty: the default of the keyring
	Every      time.Duration // how long a key signs; 0 is for ever
	Announce   time.Duration // how long the next key is published before it signs
	JWKSMaxAge time.Duration // how long clients may cache the key set
}

// rotation returns how generated keys rotate. Clients may cache the key set for half of the time
// for which a key is announced, so that one that asks late, or whose clock is behind, still knows
// the key when it signs.
func (k *Keys) rotation() KeyRotation {
	v := KeyRotation{
		Every:      k.rotateEvery(),
		Announce:   k.announce(),
		JWKSMaxAge: min(k.announce()/2, 5*time.Minute),
	}
	if k != nil {
		v.Algorithm = k.Algorithm
	}
	return v
}

// PrivateKeyFile is a configured file with a key that signs.
type PrivateKeyFile struct{ Path, KeyID string }

// resolveKeys sets the secret and the configured keys.
func (s *Settings) resolveKeys(r option.Resolver, v *Server) error {
	secret, err := r.Text("secret", s.Secret)
	if err != nil {
		return err
	}
	if secret != "" {
		if v.Secret, err = keyring.ParseSecretRing(secret); err != nil {
			return err
		}
	}
	if s.Keys.generated() {
		return nil
	}
	return s.Keys.resolve(r, v)
}

// rotateEvery returns how long a generated key signs, 0 for ever.
func (k *Keys) rotateEvery() time.Duration {
	if k == nil || k.RotateEvery == nil {
		return defaultRotateEvery
	}
	return time.Duration(*k.RotateEvery)
}

// announce returns how long a generated key is published before it signs.
func (k *Keys) announce() time.Duration {
	every := k.rotateEvery()
	switch {
	case k != nil && k.Announce != 0:
		return time.Duration(k.Announce)
	case every > 0:
		return min(defaultAnnounce, every/2)
	}
	return defaultAnnounce
}

// validateAlgorithm refuses an algorithm that is unknown or not one of the keys given so far.
func (k *Keys) validateAlgorithm() error {
	if k.Algorithm != "" && !slices.Contains(keyring.Algorithms(), k.Algorithm) {
		return fmt.Errorf("algorithm: %q is unknown, want one of %s",
			k.Algorithm, strings.Join(keyring.Algorithms(), ", "))
	}
	hmac := strings.HasPrefix(k.Algorithm, "HS")
	if k.Algorithm != "" && !hmac && (k.Secrets != "" || len(k.Texts) > 0) {
		return fmt.Errorf("algorithm: %s cannot be used with shared secrets, want HS256, HS384 or HS512", k.Algorithm)
	}
	return nil
}

// resolve reads the configured keys and builds their ring.
func (k *Keys) resolve(r option.Resolver, v *Server) error {
	keys, err := k.secretKeys(r)
	if err != nil {
		return err
	}
	for _, f := range k.Files {
		path, found, err := f.keys(r, k.fileAlgorithm())
		if err != nil {
			return err
		}
		for _, key := range found {
			if key.CanSign() {
				v.PrivateKeyFiles = append(v.PrivateKeyFiles, PrivateKeyFile{path, key.ID()})
			}
		}
		keys = append(keys, found...)
	}
	active, err := r.Text("active", k.Active)
	if err != nil {
		return err
	}
	v.Ring, err = keyring.NewRing(keys, active)
	return err
}

// secretKeys returns the HMAC keys.
func (k *Keys) secretKeys(r option.Resolver) (keys []*keyring.Key, err error) {
	secrets, err := r.Text("keys", k.Secrets)
	if err != nil {
		return nil, err
	}
	if secrets != "" {
		if keys, err = keyring.ParseSecrets(secrets, k.Algorithm); err != nil {
			return nil, err
		}
	}
	for _, t := range k.Texts {
		key, err := t.key(r, k.Algorithm)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// fileAlgorithm is what the algorithm means for key files: an RSA key does not say whether it is
// for RS256 or PS512. An algorithm of HMAC keys does not apply to key files.
func (k *Keys) fileAlgorithm() string {
	if strings.HasPrefix(k.Algorithm, "HS") {
		return ""
	}
	return k.Algorithm
}

func (t SecretText) key(r option.Resolver, algorithm string) (*keyring.Key, error) {
	secret, err := r.Text("secret_text", t.Secret)
	if err != nil {
		return nil, err
	}
	return keyring.ParseSecretText(t.ID, secret, algorithm)
}

func (f KeyFile) keys(r option.Resolver, algorithm string) (path string, keys []*keyring.Key, err error) {
	if path, err = r.Text("file", f.Path); err != nil {
		return "", nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", nil, fmt.Errorf("file: reading key %q: %w", f.ID, err)
	}
	if keys, err = keyring.ParseFile(f.ID, data, algorithm); err != nil {
		return "", nil, fmt.Errorf("file: %s: %w", path, err)
	}
	return path, keys, nil
}

// unmarshalKeys parses:
//
//	keys [<kid:base64,...>] {
//		active      <kid>
//		algorithm   <name>
//		file        [<kid>] <path>
//		secret_text <kid> <text>
//		rotate_every <duration>|off
//		announce    <duration>
//	}
func (s *Settings) unmarshalKeys(d *caddyfile.Dispenser) error {
	k := new(Keys)
	s.Keys = k
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.Err("keys: it takes one value; entries are separated by commas, without spaces")
	}
	if len(args) == 1 {
		k.Secrets = args[0]
	}
	if err := option.Block(d, func() error { return k.unmarshalOption(d) }, "file", "secret_text"); err != nil {
		return err
	}
	return option.At(d, k.Validate())
}

func (k *Keys) unmarshalOption(d *caddyfile.Dispenser) error {
	switch word := d.Val(); word {
	case "active", "algorithm":
		if err := option.One(d, map[string]*string{"active": &k.Active, "algorithm": &k.Algorithm}[word]); err != nil {
			return err
		}
		return option.At(d, k.validateAlgorithm())
	case "rotate_every", "announce":
		return k.unmarshalRotation(d)
	case "file":
		args := d.RemainingArgs()
		switch len(args) {
		case 1:
			k.Files = append(k.Files, KeyFile{Path: args[0]})
		case 2:
			k.Files = append(k.Files, KeyFile{ID: args[0], Path: args[1]})
		default:
			return d.ArgErr()
		}
		return nil
	case "secret_text":
		args := d.RemainingArgs()
		if len(args) != 2 {
			return d.Err("secret_text: it takes a key id and one text; a text with spaces is quoted")
		}
		k.Texts = append(k.Texts, SecretText{ID: args[0], Secret: args[1]})
		return nil
	default:
		return d.Errf("keys: unrecognized option %q", word)
	}
}

// unmarshalRotation reads rotate_every, which may be off, and announce.
func (k *Keys) unmarshalRotation(d *caddyfile.Dispenser) error {
	if d.Val() == "announce" {
		return option.ReadDuration(d, k.durations())
	}
	k.RotateEvery = new(option.Duration)
	if d.CountRemainingArgs() == 1 {
		if d.NextArg(); d.Val() == option.Off {
			return nil
		}
		d.Prev()
	}
	return option.ReadDuration(d, k.durations())
}
