package fleet

import (
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
)

// RelayCommand is the command `relay`.
func RelayCommand() *cli.Command {
	return &cli.Command{
		Name:  "relay",
		Usage: "run only the ticker and the relay, which publishes the log",
		Description: "Any number may run; one leads, and another takes over within three seconds of its death.\n" +
			"`composerp up` includes one.",
		Flags:  settings.ConnectionFlags(settings.ServingFlags()...),
		Action: func(cctx *cli.Context) error { return runPart(cctx, &fleet{relay: true}) },
	}
}

// runPart runs a part of the fleet in this process until interrupted.
func runPart(cctx *cli.Context, f *fleet) error {
	var err error
	if f.log, err = settings.Logger(cctx); err != nil {
		return err
	}
	if f.collector, err = collectorOf(cctx); err != nil {
		return err
	}
	db, at, err := settings.OpenSchemaAs(cctx, f.role(), "check", 1)
	if err != nil {
		return err
	}
	db.Close()
	f.at, f.version = at, cctx.App.Version
	if err := f.listenMetrics(cctx); err != nil {
		return err
	}
	defer f.metrics.Close()
	terminal.Say(cctx, "page at http://%s/", f.metrics.Addr())
	terminal.Say(cctx, "metrics at http://%s/metrics", f.metrics.Addr())
	return f.run(cctx.Context)
}
