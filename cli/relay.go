package cli

import (
	"github.com/urfave/cli/v2"
)

func relayCommand() *cli.Command {
	return &cli.Command{
		Name:  "relay",
		Usage: "run the ticker and the relay alone: the log to the exchange",
		Description: "Any number may run; one leads, and another takes over within three seconds of its death.\n" +
			"`composerp up` has one of its own.",
		Flags: connectionFlags(metricsFlag()),
		Action: func(cctx *cli.Context) error {
			if err := noArguments(cctx); err != nil {
				return err
			}
			return runPart(cctx, &fleet{relay: true})
		},
	}
}

// runPart runs a part of the fleet in this process until interrupted.
func runPart(cctx *cli.Context, f *fleet) error {
	var err error
	if f.log, err = logger(cctx); err != nil {
		return err
	}
	db, at, err := openSchema(cctx, "check", 1)
	if err != nil {
		return err
	}
	db.Close()
	f.at = at
	if f.metrics, err = listenMetrics(cctx.String(flagMetrics), cctx.IsSet(flagMetrics)); err != nil {
		return err
	}
	defer f.metrics.Close()
	say(cctx, "metrics at http://%s/metrics", f.metrics.Addr())
	return f.run(cctx.Context)
}
