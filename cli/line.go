package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
)

// permute moves flags before the positional arguments: the flag package stops
// at the first positional, and would take what follows for more of them.
// Settings that stand before the command, or between its words, move behind it.
func permute(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	here, early, rest, known := topOf(app), []string{}, args[1:], settings.Flags()
	for len(rest) > 0 && len(here.commands) > 0 {
		if name, _, given := strings.Cut(rest[0], "="); strings.HasPrefix(name, "--") && terminal.FlagNamed(known, name[2:]) != nil {
			n := 2
			if given {
				n = 1
			}
			n = min(n, len(rest))
			early, rest = append(early, rest[:n]...), rest[n:]
			continue
		}
		if !here.enter(rest[0]) {
			break
		}
		rest = rest[1:]
	}
	if len(early) > 0 && (len(here.path) == 0 || len(here.commands) > 0 && len(here.flags) == 0) {
		return args // no command that could take them
	}
	typed, positional := split(here.flags, rest)
	return slices.Concat(args[:1], here.path, early, typed, positional)
}

// split parts flags, with their values, from positional arguments; what follows "--" is positional.
func split(flags []cli.Flag, args []string) (typed, positional []string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return typed, append(positional, args[i:]...)
		case strings.HasPrefix(arg, "-") && arg != "-":
			typed = append(typed, arg)
			if !strings.Contains(arg, "=") && takesValue(flags, strings.TrimLeft(arg, "-")) && i+1 < len(args) {
				i++
				typed = append(typed, args[i])
			}
		default:
			positional = append(positional, arg)
		}
	}
	return typed, positional
}

// place is where a command line has got to.
type place struct {
	path      []string // the commands' names, without the program's
	commands  []*cli.Command
	flags     []cli.Flag
	arguments string // ArgsUsage
}

func topOf(app *cli.App) place { return place{commands: app.Commands, flags: app.Flags} }

// enter goes on to the command of that name, where there is one.
func (p *place) enter(name string) bool {
	i := slices.IndexFunc(p.commands, func(c *cli.Command) bool { return c.HasName(name) })
	if i < 0 {
		return false
	}
	c := p.commands[i]
	*p = place{append(p.path, c.Name), c.Subcommands, c.Flags, c.ArgsUsage}
	return true
}

func takesValue(flags []cli.Flag, name string) bool {
	doc, ok := terminal.FlagNamed(flags, name).(cli.DocGenerationFlag)
	return ok && doc.TakesValue()
}
