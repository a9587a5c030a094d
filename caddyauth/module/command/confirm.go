package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

// errDeclined ends a command that was not confirmed.
var errDeclined = errors.New("not confirmed; nothing was changed")

// destructive makes a command ask for confirmation if standard input is a terminal. A script is not
// asked, with or without --yes.
func destructive(cmd *cobra.Command, effect string) *cobra.Command {
	return destructiveIf(cmd, effect, func() bool { return true })
}

// destructiveIf is destructive for a command that removes something with some flags only.
func destructiveIf(cmd *cobra.Command, effect string, isDestructive func() bool) *cobra.Command {
	yes := cmd.Flags().BoolP("yes", "y", false, "do not ask for confirmation at a terminal")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if in, ok := cmd.InOrStdin().(*os.File); ok && !*yes && isDestructive() && term.IsTerminal(int(in.Fd())) {
			if err := confirm(in, cmd.ErrOrStderr(), confirmationQuestion(cmd, args, effect)); err != nil {
				return err
			}
		}
		return run(cmd, args)
	}
	return cmd
}

// confirmationQuestion names the command, its arguments and its effect.
func confirmationQuestion(cmd *cobra.Command, args []string, effect string) string {
	words := append([]string{cmd.CommandPath()}, args...)
	for _, name := range []string{"user", "client", "project"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			words = append(words, "--"+name, f.Value.String())
		}
	}
	return fmt.Sprintf("%s: %s. Continue?", terminal.Printable(strings.Join(words, " ")), effect)
}

// confirm asks, and returns errDeclined unless the answer is y or yes.
func confirm(in io.Reader, out io.Writer, question string) error {
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(out)
		return errDeclined
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errDeclined
}
