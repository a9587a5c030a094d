package caddyauth

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// unknownCommand says that a word is no command, and which one may have been meant.
func unknownCommand(cmd *cobra.Command, word string) error {
	if names := cmd.SuggestionsFor(word); len(names) > 0 {
		return fmt.Errorf("unknown command %q for %q; did you mean %q?", word, cmd.CommandPath(), names[0])
	}
	return fmt.Errorf("unknown command %q for %q; see %s --help", word, cmd.CommandPath(), cmd.CommandPath())
}

// unknownFlag adds to cobra's error which flag may have been meant. It does not know which ones are similar, but of commands it does.
func unknownFlag(cmd *cobra.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return err
	}
	flags := &cobra.Command{SuggestionsMinimumDistance: 2}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	if names := flags.SuggestionsFor(name); len(names) > 0 {
		return fmt.Errorf("%w; did you mean --%s?", err, names[0])
	}
	return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
}
