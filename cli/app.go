// Package cli is the command composerp, one file a command. Configuration is
// read here and nowhere else; data goes to stdout, messages to stderr.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// Version is set by the linker: -X github.com/composerp/composerp/cli.Version=v1.2.3.
var Version = ""

// Main runs the command line and gives the exit code: 0 ok, 1 failure, 2
// findings, 64 usage, 69 a server is unreachable, 78 configuration.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	tuneMemory()
	ctx, stop := signalContext(stderr)
	defer stop()
	return run(ctx, args, stdin, stdout, stderr)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := newApp(stdin, stdout, stderr)
	err := app.RunContext(ctx, permute(app, args))
	if err == nil {
		return exitOK
	}
	var quiet findings
	if !errors.As(err, &quiet) {
		fmt.Fprintf(stderr, "composerp: %s\n", oneLine(err))
	}
	return exitCode(err)
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:            "composerp",
		Usage:           "events of a retail and distribution ERP: nothing lost, nothing applied twice",
		Version:         version(),
		HideVersion:     true,
		Reader:          stdin,
		Writer:          stdout,
		ErrWriter:       stderr,
		ExitErrHandler:  func(*cli.Context, error) {},
		OnUsageError:    func(_ *cli.Context, err error, _ bool) error { return usage("%v", err) },
		CommandNotFound: nil,
		Suggest:         true,
		Action:          group,
		Commands: []*cli.Command{
			upCommand(), downCommand(), demoCommand(), importCommand(), publishCommand(), stockCommand(), auditCommand(),
			workerCommand(), relayCommand(), topologyCommand(), migrateCommand(), benchCommand(), versionCommand(),
		},
		Description: "Data goes to stdout, messages to stderr. Exit codes: 0 ok, 1 failure, 2 findings, 64 usage,\n" +
			"69 a server is unreachable, 78 configuration.\n\n" +
			"Servers are found by flags, then by the environment (COMPOSERP_DATABASE_URL, COMPOSERP_AMQP_URL,\n" +
			"COMPOSERP_MANAGEMENT_URL, or the same with _FILE for a file that holds the value), then by a running\n" +
			"`composerp up` of the same directory.",
	}
	each(app.Commands, func(c *cli.Command) {
		c.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return usage("%v", err) }
		if len(c.Subcommands) > 0 {
			c.Action = group
			return
		}
		c.HideHelpCommand = true
		action := c.Action
		c.Action = func(cctx *cli.Context) error {
			for _, arg := range cctx.Args().Slice() {
				if strings.HasPrefix(arg, "-") && arg != "-" {
					return usage("%q is no argument of `%s`; flags stand before or after the arguments, see `%[2]s --help`", arg, cctx.Command.HelpName)
				}
			}
			return action(cctx)
		}
	})
	return app
}

// each calls do for every command and every command below it.
func each(commands []*cli.Command, do func(*cli.Command)) {
	for _, c := range commands {
		each(c.Subcommands, do)
		do(c)
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
	return usage("no command %q; %s `composerp --help` lists them all", name, cli.SuggestCommand(known, name))
}

// permute moves flags before the positional arguments: the flag package stops
// at the first positional, and would take what follows for more of them.
func permute(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	commands, flags := app.Commands, app.Flags
	at := 1
	for at < len(args) {
		found := find(commands, args[at])
		if found == nil {
			break
		}
		commands, flags = found.Subcommands, found.Flags
		at++
	}
	moved, positional := []string{}, []string{}
	for i := at; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			positional = append(positional, args[i:]...)
			i = len(args)
		case strings.HasPrefix(arg, "-") && arg != "-":
			moved = append(moved, arg)
			if !strings.Contains(arg, "=") && takesValue(flags, strings.TrimLeft(arg, "-")) && i+1 < len(args) {
				i++
				moved = append(moved, args[i])
			}
		default:
			positional = append(positional, arg)
		}
	}
	return append(append(append([]string{}, args[:at]...), moved...), positional...)
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

func takesValue(flags []cli.Flag, name string) bool {
	for _, f := range flags {
		for _, n := range f.Names() {
			if n == name {
				doc, ok := f.(cli.DocGenerationFlag)
				return ok && doc.TakesValue()
			}
		}
	}
	return false
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
			os.Exit(exitFailure)
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
