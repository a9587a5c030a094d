package command

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// unknownCommand says that a word is no command, and which one may have been meant.
func unknownCommand(cmd *cobra.Command, word string) error {
	if name := nearest(cmd, word); name != "" {
		return fmt.Errorf("unknown command %q for %q; did you mean %q?", word, cmd.CommandPath(), name)
	}
	return fmt.Errorf("unknown command %q for %q; see %s --help", word, cmd.CommandPath(), cmd.CommandPath())
}

// unknownFlag adds to cobra's error which flag may have been meant. It does not know which ones are
// similar, but of commands it does.
func unknownFlag(cmd *cobra.Command, err error) error {
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
	if flag := nearest(flags, name); flag != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, flag)
	}
	return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
}

// nearest is the subcommand that differs least from a word; "" when all differ by more than two
// letters. Cobra suggests in no order.
func nearest(cmd *cobra.Command, word string) string {
	for cmd.SuggestionsMinimumDistance = 1; cmd.SuggestionsMinimumDistance <= 2; cmd.SuggestionsMinimumDistance++ {
		if names := cmd.SuggestionsFor(word); len(names) > 0 {
			return names[0]
		}
	}
	return ""
}
