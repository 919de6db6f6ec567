// Package cli is the command composerp, one file a command. Configuration is
// read here and nowhere else; data goes to stdout, messages to stderr.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/workers"
)

// Version is set by the linker: -X github.com/composerp/composerp/cli.Version=v1.2.3.
var Version = ""

// Main runs the command line of a fleet and ends the process with the exit code:
// 0 ok, 1 failure, 2 findings, 3 in flight, 64 usage, 69 a server is unreachable,
// 78 configuration. A team's own program calls it with its workers beside those of
// workers.Standard, or instead of them; its event types it registers before.
func Main(fleet workers.Declaration) {
	os.Exit(mainOf(fleet, os.Args, os.Stdin, os.Stdout, os.Stderr))
}

func mainOf(fleet workers.Declaration, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	tuneMemory()
	if err := fleet.Check(); err != nil {
		fmt.Fprintf(stderr, "composerp: %s\n", err)
		return exit.Failure
	}
	workers.Use(fleet)
	if err := settings.Arm(); err != nil {
		fmt.Fprintf(stderr, "composerp: %s\n", err)
		return exit.WrongUsage
	}
	ctx, stop := signalContext(stderr)
	defer stop()
	return run(ctx, args, stdin, stdout, stderr)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := newApp(stdin, stdout, stderr)
	if len(args) > 2 && args[1] == completeWord {
		completeLine(app, args[2], args[3:], stdout)
		return exit.OK
	}
	args, err := helpLine(app, renamed(app, args, stderr))
	if err == nil {
		err = app.RunContext(ctx, permute(app, args))
	}
	if err == nil {
		return exit.OK
	}
	if !exit.IsPrinted(err) {
		printError(stderr, err, wantsJSON(args))
	}
	return exit.CodeOf(err)
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:           "composerp",
		Usage:          "events of a retail and distribution ERP: nothing lost, nothing applied twice",
		Version:        version(),
		Reader:         stdin,
		Writer:         stdout,
		ErrWriter:      stderr,
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   func(cctx *cli.Context, err error, _ bool) error { return terminal.FlagError(cctx, err) },
		Suggest:        true,
		Flags:          []cli.Flag{settings.FlagOf(settings.FlagConfig)},
		Action:         group,
		Commands:       grouped(),
		Description: "Data goes to stdout, messages to stderr. Exit codes: 0 ok, 1 failure, 2 findings, 3 in flight, 64 usage,\n" +
			"69 a server is unreachable, 78 configuration.\n\n" +
			"A setting comes from its flag, else from the environment (COMPOSERP_DATABASE_URL, or the same with _FILE for\n" +
			"a file that holds the value), else from the configuration file (database_url in composerp.yaml), else, for\n" +
			"the servers, from a running `composerp up` of the same directory. `composerp doctor --show-config` shows them.",
	}
	each(app.Commands, func(c *cli.Command) {
		c.OnUsageError = app.OnUsageError
		holds := len(c.Subcommands) > 0
		if holds && c.Action == nil {
			c.Action = group
			return
		}
		c.HideHelpCommand = true
		c.Flags = withCommonSettings(c.Flags)
		c.Action = checked(c.Action)
		if holds && c.ArgsUsage == "" {
			c.Action = alone(c.Action)
		}
	})
	return app
}

// withCommonSettings adds to the flags of a command that reads settings those that every such command has.
func withCommonSettings(flags []cli.Flag) []cli.Flag {
	has := func(wanted string) bool {
		return slices.ContainsFunc(flags, func(f cli.Flag) bool {
			s, ok := f.(settings.Flag)
			return ok && (wanted == "" || s.Name == wanted)
		})
	}
	if has(settings.FlagLogLevel) && !has(settings.FlagLogFormat) {
		flags = append(flags, settings.FlagOf(settings.FlagLogFormat))
	}
	if has("") && !has(settings.FlagConfig) {
		flags = append(flags, settings.FlagOf(settings.FlagConfig))
	}
	return flags
}

// checked refuses what is typed where it can not be meant, and reads the configuration before the command works.
func checked(action cli.ActionFunc) cli.ActionFunc {
	return func(cctx *cli.Context) error {
		for _, arg := range cctx.Args().Slice() {
			if strings.HasPrefix(arg, "-") && arg != "-" {
				return exit.Usage("%q is no argument of `%s`; flags stand before or after the arguments, see `%[2]s --help`", arg, cctx.Command.HelpName)
			}
		}
		if err := checkDurations(cctx); err != nil {
			return err
		}
		if err := settings.Configure(cctx); err != nil {
			return err
		}
		if c := cctx.Command; c.ArgsUsage == "" && c.Name != "set" && cctx.NArg() > 0 { // set says itself what names a row
			return exit.Usage("`%s` takes no argument, got %q", c.HelpName, cctx.Args().First())
		}
		return action(cctx)
	}
}

// checkDurations refuses times that nothing can take.
func checkDurations(cctx *cli.Context) error {
	for _, f := range cctx.Command.Flags {
		d, ok := f.(*cli.DurationFlag)
		if ok && cctx.IsSet(d.Name) && cctx.Duration(d.Name) <= 0 {
			return exit.Usage("--%s %s: want a time above 0, such as 30s or 5m", d.Name, cctx.Duration(d.Name))
		}
	}
	return nil
}

// each calls do for every command and every command below it.
func each(commands []*cli.Command, do func(*cli.Command)) {
	for _, c := range commands {
		each(c.Subcommands, do)
		do(c)
	}
}

// alone is the action of a command that does something by itself and holds others: an argument can only be one of
// these, mistyped.
func alone(action cli.ActionFunc) cli.ActionFunc {
	return func(cctx *cli.Context) error {
		if cctx.NArg() > 0 {
			return group(cctx)
		}
		return action(cctx)
	}
}

// group is the action of what only holds commands: without an argument it shows
// what there is, with one that it does not know it says so.
func group(cctx *cli.Context) error {
	name := cctx.Args().First()
	if name == "" {
		if cctx.Command != nil && len(cctx.Command.Subcommands) > 0 && cctx.Command.Name != cctx.App.Name {
			return cli.ShowSubcommandHelp(cctx)
		}
		return cli.ShowAppHelp(cctx)
	}
	known := cctx.App.Commands
	if len(cctx.Command.Subcommands) > 0 {
		known = cctx.Command.Subcommands
	}
	return exit.Usage("no command %q; %s`%s --help` lists them all", name, terminal.Suggest(name, terminal.NamesOf(known)), cctx.Command.HelpName)
}

// signalContext ends with the first SIGINT or SIGTERM; the second leaves at
// once. Nothing is lost by that: what was not committed is done again.
func signalContext(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		cancel()
		if s, ok := <-signals; ok {
			fmt.Fprintf(stderr, "composerp: %s again: leaving at once\n", s)
			os.Exit(exit.Failure)
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

func version() string {
	if Version != "" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
