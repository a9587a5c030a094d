package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxPasswordInput bounds what is read as a password, in bytes; the server has its own limit.
const maxPasswordInput = 64 << 10

// readPassword prompts for a new password twice, without echo, if standard input is a terminal, and
// otherwise reads one line. A password is never an argument, which other users of the machine could
// read.
func readPassword(cmd *cobra.Command) (string, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if ok && term.IsTerminal(int(in.Fd())) {
		return promptPassword(cmd.ErrOrStderr(), func() ([]byte, error) { return term.ReadPassword(int(in.Fd())) })
	}
	text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxPasswordInput+1))
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case password == "":
		return "", errors.New("no password on standard input")
	case len(text) > maxPasswordInput:
		return "", fmt.Errorf("the password on standard input is above the limit of %d bytes", maxPasswordInput)
	case strings.ContainsAny(password, "\r\n"):
		return "", errors.New("standard input has more than one line; a password is one line")
	}
	return password, nil
}

func promptPassword(w io.Writer, read func() ([]byte, error)) (string, error) {
	var typed [2]string
	for i, prompt := range []string{"New password: ", "Repeat the password: "} {
		fmt.Fprint(w, prompt)
		text, err := read()
		fmt.Fprintln(w)
		if err != nil {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		typed[i] = string(text)
	}
	switch {
	case typed[0] != typed[1]:
		return "", errors.New("the two passwords differ")
	case typed[0] == "":
		return "", errors.New("the password is empty")
	}
	return typed[0], nil
}
