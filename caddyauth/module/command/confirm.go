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

// destructive makes a command ask before it runs when a person sits at a terminal. A script is not
// asked, with or without --yes: what it does was decided when it was written.
func destructive(cmd *cobra.Command, effect string) *cobra.Command {
	return destructiveIf(cmd, effect, func() bool { return true })
}

// destructiveIf is destructive for a command that takes something away with some flags only.
func destructiveIf(cmd *cobra.Command, effect string, takesAway func() bool) *cobra.Command {
	yes := cmd.Flags().BoolP("yes", "y", false, "do not ask for confirmation at a terminal")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if in, ok := cmd.InOrStdin().(*os.File); ok && !*yes && takesAway() && term.IsTerminal(int(in.Fd())) {
			if err := confirm(in, cmd.ErrOrStderr(), consequence(cmd, args, effect)); err != nil {
				return err
			}
		}
		return run(cmd, args)
	}
	return cmd
}

// consequence names the command, what it is about, and what follows.
func consequence(cmd *cobra.Command, args []string, effect string) string {
	words := append([]string{cmd.CommandPath()}, args...)
	for _, name := range []string{"user", "client", "project"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			words = append(words, "--"+name, f.Value.String())
		}
	}
	return fmt.Sprintf("%s: %s. Go on?", terminal.Plain(strings.Join(words, " ")), effect)
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
