package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// keygenCommand is `caddy auth keygen`.
func keygenCommand() *cobra.Command {
	var algorithm, kid, file string
	cmd := &cobra.Command{
		Use:   "keygen [--alg <algorithm>] [--kid <id>] [--out <file>]",
		Short: "Makes a signing key and prints it",
		Long: `Makes a signing key and prints it on standard output only. With --out it is written
to a new file (mode 0600) instead; an existing file is never overwritten.

For HS256, HS384 and HS512 it is an entry for the option keys, kid:base64secret. For
all other algorithms it is a private key in PEM (PKCS #8), to be kept in a file and
named by the option file; how is said on standard error.

Algorithms: ` + strings.Join(keyring.Algorithms(), ", ") + ".",
		Example: `  $ caddy auth keygen --out /etc/caddy/key-2026.pem
  $ caddy auth keygen --alg HS256 --kid key-2026
  $ AUTH_JWT_KEYS="$(caddy auth keygen --alg HS256 --kid new),$AUTH_JWT_KEYS"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return keygen(cmd.OutOrStdout(), cmd.ErrOrStderr(), algorithm, kid, time.Now())
			}
			var key, hint bytes.Buffer
			if err := keygen(&key, &hint, algorithm, kid, time.Now()); err != nil {
				return err
			}
			if err := writeNew(file, key.Bytes()); err != nil {
				return err
			}
			_, err := hint.WriteTo(cmd.ErrOrStderr())
			return err
		},
	}
	cmd.Flags().StringVar(&algorithm, "alg", "ES256", "the key's algorithm")
	cmd.Flags().StringVar(&kid, "kid", "", "the key's id (default: the day and some random letters)")
	cmd.Flags().StringVarP(&file, "out", "o", "", "a new file for the key (default: standard output)")
	return cmd
}

// writeNew creates a file that only its owner may read. An incomplete file is removed.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("--out: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
}

func keygen(out, hint io.Writer, algorithm, kid string, now time.Time) error {
	key, err := keyring.Generate(algorithm, now)
	if err != nil {
		return fmt.Errorf("--alg: %w", err)
	}
	if kid == "" {
		kid = key.ID()
	}
	if key.Symmetric() {
		return printSecret(out, key, kid)
	}
	return printPrivateKey(out, hint, key, kid)
}

func printSecret(out io.Writer, key *keyring.Key, kid string) error {
	entry, err := key.SecretEntry()
	if err != nil {
		return err
	}
	entry = kid + strings.TrimPrefix(entry, key.ID())
	if keys, err := keyring.ParseSecrets(entry, key.Algorithm()); err != nil || len(keys) != 1 || keys[0].ID() != kid {
		return fmt.Errorf("--kid: %q cannot be the id of a secret; use letters, digits, `-` and `_`", kid)
	}
	_, err = fmt.Fprintln(out, entry)
	return err
}

func printPrivateKey(out, hint io.Writer, key *keyring.Key, kid string) error {
	pem, err := key.MarshalPrivatePEM()
	if err != nil {
		return err
	}
	if _, err := keyring.ParseFile(kid, pem, key.Algorithm()); err != nil {
		return fmt.Errorf("--kid: %w", err)
	}
	if _, err := out.Write(pem); err != nil {
		return err
	}
	fmt.Fprintf(hint, "# %s key %s. Keep it in a file that only Caddy can read (mode 0600), and name it:\n#\tkeys {\n",
		key.Algorithm(), kid)
	if needsAlgorithm(key) {
		fmt.Fprintf(hint, "#\t\talgorithm %s\n", key.Algorithm())
	}
	fmt.Fprintf(hint, "#\t\tfile %s /path/to/the/key.pem\n#\t}\n", kid)
	return nil
}

// needsAlgorithm reports whether the key alone does not determine the algorithm: RSA keys count as
// RS256.
func needsAlgorithm(key *keyring.Key) bool {
	return key.Algorithm() != "RS256" &&
		(strings.HasPrefix(key.Algorithm(), "RS") || strings.HasPrefix(key.Algorithm(), "PS"))
}
