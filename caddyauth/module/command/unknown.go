package command

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// unknownCommandError is the error for an unknown command. It suggests a similar one.
func unknownCommandError(cmd *cobra.Command, word string) error {
	if name := closestName(cmd, word); name != "" {
		return fmt.Errorf("unknown command %q for %q; did you mean %q?", word, cmd.CommandPath(), name)
	}
	return fmt.Errorf("unknown command %q for %q; see %s --help", word, cmd.CommandPath(), cmd.CommandPath())
}

// unknownFlagError adds a similar flag to cobra's error. Cobra suggests only commands, so the flags
// are given to it as commands.
func unknownFlagError(cmd *cobra.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return err
	}
	flags := new(cobra.Command)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	if flag := closestName(flags, name); flag != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, flag)
	}
	return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
}

// closestName returns the subcommand that differs least from a word; "" when all differ by more
// than two letters. Cobra's suggestions are not ordered, so the distance is raised step by step.
func closestName(cmd *cobra.Command, word string) string {
	for cmd.SuggestionsMinimumDistance = 1; cmd.SuggestionsMinimumDistance <= 2; cmd.SuggestionsMinimumDistance++ {
		if names := cmd.SuggestionsFor(word); len(names) > 0 {
			return names[0]
		}
	}
	return ""
}
