package deadletters

import (
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store/failures"
)

// QuarantineCommand is the command `quarantine`.
func QuarantineCommand() *cli.Command {
	return &cli.Command{
		Name:  "quarantine",
		Usage: "classes of failing events that are held back",
		Description: "When several events of one worker, type and version fail with the same error, further ones that fail with it become\n" +
			"dead letters at once, without retries, until the class is released.",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the classes in quarantine",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "all", Usage: "also those released in the last 30 days"},
					terminal.OutputFlag(), settings.DatabaseFlag(), settings.DirFlag(),
				},
				Action: quarantineList,
			},
			{
				Name: "release", Usage: "allow retries for a class again", ArgsUsage: "CLASS...",
				Description: "Failures are counted from zero again. Letters that were held back stay dead until `composerp dlq redrive` returns them.",
				Flags:       []cli.Flag{terminal.OutputFlag(), settings.DatabaseFlag(), settings.DirFlag()},
				Action:      quarantineRelease,
			},
		},
	}
}

func quarantineList(cctx *cli.Context) error {
	db, _, err := settings.OpenSchema(cctx, "quarantine", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	classes, err := failures.Quarantined(cctx.Context, db, cctx.Bool("all"))
	if err != nil {
		return err
	}
	return showClasses(cctx, classes)
}

func quarantineRelease(cctx *cli.Context) error {
	if cctx.NArg() == 0 {
		return exit.Usage("name the classes; composerp quarantine list shows them")
	}
	db, _, err := settings.OpenSchema(cctx, "quarantine", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	var released []failures.Quarantine
	for _, class := range cctx.Args().Slice() {
		q, err := failures.ReleaseQuarantine(cctx.Context, db, class)
		if err != nil {
			return err
		}
		terminal.Say(cctx, "%s is released; `composerp dlq redrive --quarantine %s` redrives what was held back", q.Class, q.Class)
		released = append(released, q)
	}
	return showClasses(cctx, released)
}

func showClasses(cctx *cli.Context, classes []failures.Quarantine) error {
	return terminal.Show(cctx, classes, func(w io.Writer) {
		terminal.Row(w, "CLASS", "TYPE", "VERSION", "SINCE", "RELEASED", "HELD BACK", "ERROR")
		for _, q := range classes {
			terminal.Row(w, q.Class, q.Type, q.Version, terminal.Moment(q.Since), momentOrNot(q.ReleasedAt), q.HeldBack, q.Sample)
		}
	})
}

func momentOrNot(t *time.Time) string {
	if t == nil {
		return "no"
	}
	return terminal.Moment(*t)
}
