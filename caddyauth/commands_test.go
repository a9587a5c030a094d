package caddyauth

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddyauth/gateway/integration/documents"
)

// TestCommandsAreDocumented renders docs/reference/commands.md from the commands themselves.
func TestCommandsAreDocumented(t *testing.T) {
	registered, found := caddycmd.Commands()["auth"]
	if !found {
		t.Fatal("the command auth is not registered")
	}
	root, auth := &cobra.Command{Use: "caddy"}, &cobra.Command{Use: "auth"}
	root.AddCommand(auth)
	registered.CobraFunc(auth)

	commands := leaves(auth)
	if len(commands) < 35 {
		t.Fatalf("only %d commands were found", len(commands))
	}
	shared := sharedFlags(commands)
	var b strings.Builder
	b.WriteString(prose(registered.Long) + "\n\n| command | what it does |\n| --- | --- |\n")
	for _, c := range commands {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s has no short text or no example", c.CommandPath())
		}
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", c.CommandPath(), documents.Anchor(c.CommandPath()),
			cell(escaped(c.Short)))
	}
	b.WriteString("\n## Flags of several commands\n" + flagTable(shared))
	for _, c := range commands {
		writeCommand(&b, c, shared)
	}
	documents.Compare(t, "docs/reference/commands.md", "commands", b.String())
}

// leaves returns the commands below a command that do something themselves.
func leaves(c *cobra.Command) []*cobra.Command {
	if !c.HasSubCommands() {
		return []*cobra.Command{c}
	}
	var all []*cobra.Command
	for _, sub := range c.Commands() {
		all = append(all, leaves(sub)...)
	}
	return all
}

// sharedFlags returns the flags that at least ten commands have with the same meaning. They are
// described once.
func sharedFlags(commands []*cobra.Command) []*pflag.Flag {
	uses := make(map[string]int)
	var shared []*pflag.Flag
	for _, c := range commands {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			key := f.Name + ": " + f.Usage
			if uses[key]++; uses[key] == 10 && f.Name != "help" {
				shared = append(shared, f)
			}
		})
	}
	return shared
}

// writeCommand writes the section of one command.
func writeCommand(b *strings.Builder, c *cobra.Command, shared []*pflag.Flag) {
	text := c.Long
	if text == "" {
		text = c.Short
	}
	usage := strings.TrimSuffix(c.UseLine(), " [flags]")
	fmt.Fprintf(b, "\n## %s\n\n```text\n%s\n```\n\n%s\n", c.CommandPath(), usage, prose(text))

	// Flags that several commands have are only named.
	var own []*pflag.Flag
	var common []string
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Name == "help" || f.Hidden:
		case slices.ContainsFunc(shared, func(s *pflag.Flag) bool { return s.Name == f.Name && s.Usage == f.Usage }):
			common = append(common, "`--"+f.Name+"`")
		default:
			own = append(own, f)
		}
	})
	b.WriteString(flagTable(own))
	if len(common) > 0 {
		fmt.Fprintf(b, "\n[Flags of several commands](#flags-of-several-commands): %s.\n", strings.Join(common, ", "))
	}
	fmt.Fprintf(b, "\n```sh\n%s\n```\n", prompt.ReplaceAllString(strings.Trim(c.Example, "\n"), ""))
}

// prompt is what stands before each line of an example in the help.
var prompt = regexp.MustCompile(`(?m)^  (\$ )?`)

// inDefault finds a default that a flag's text names.
var inDefault = regexp.MustCompile(` \(default: (.+)\)$`)

// flagTable renders flags as a table, or nothing when there are none.
func flagTable(flags []*pflag.Flag) string {
	if len(flags) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n| flag | what it says | default |\n| --- | --- | --- |\n")
	for _, f := range flags {
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		value, usage := pflag.UnquoteUsage(f)
		fallback := f.DefValue
		if fallback == "false" || fallback == "[]" {
			fallback = ""
		}
		if m := inDefault.FindStringSubmatch(usage); m != nil {
			usage, fallback = strings.TrimSuffix(usage, m[0]), m[1]
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.TrimSpace(name+" "+value), cell(escaped(usage)),
			cell(escaped(fallback)))
	}
	return b.String()
}

// prose wraps the paragraphs of a help text as the documents are wrapped.
func prose(text string) string {
	paragraphs := strings.Split(strings.TrimSuffix(strings.TrimSpace(text), ".")+".", "\n\n")
	for i, p := range paragraphs {
		paragraphs[i] = wrapped(escaped(p), 120)
	}
	return strings.Join(paragraphs, "\n\n")
}

// wrapped breaks a paragraph into lines of at most width bytes where its words allow it.
func wrapped(text string, width int) string {
	var b strings.Builder
	line := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == 0:
		case line+1+len(word) > width:
			b.WriteByte('\n')
			line = 0
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	return b.String()
}

// escaped keeps Markdown from reading <word> as an element and * as emphasis.
func escaped(text string) string {
	return strings.NewReplacer("<", `\<`, "*", `\*`).Replace(text)
}
