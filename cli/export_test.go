package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/terminal"
)

// Shows tells which commands, "worker list", have an --output.
func Shows() []string {
	var all []string
	walk("", newApp(nil, nil, nil).Commands, func(path string, c *cli.Command) {
		if terminal.FlagNamed(c.Flags, terminal.FlagOutput) != nil {
			all = append(all, path)
		}
	})
	return all
}

// walk calls do for every command but help, with the words that lead to it.
func walk(before string, commands []*cli.Command, do func(path string, c *cli.Command)) {
	for _, c := range commands {
		if c.Name != "help" {
			do(before+c.Name, c)
			walk(before+c.Name+" ", c.Subcommands, do)
		}
	}
}
