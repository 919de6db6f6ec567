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

func QuarantineCommand() *cli.Command {
	return &cli.Command{
		Name:  "quarantine",
		Usage: "classes of failing events that are set aside",
		Description: "When several events of one worker, type and version have failed with one error, those that fail with it go to the\n" +
			"dead letters at once instead of being tried again and again, until the class is released.",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "the classes that are set aside",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "all", Usage: "those that were released in the last 30 days too"},
					terminal.OutputFlag(), settings.DatabaseFlag(), settings.DirFlag(),
				},
				Action: quarantineList,
			},
			{
				Name: "release", Usage: "let events of a class be tried again", ArgsUsage: "CLASS...",
				Description: "Counting begins anew. What was set aside stays among the dead letters until somebody puts it back.",
				Flags:       []cli.Flag{terminal.OutputFlag(), settings.DatabaseFlag(), settings.DirFlag()},
				Action:      quarantineRelease,
			},
		},
	}
}

func quarantineList(cctx *cli.Context) error {
	if err := settings.NoArguments(cctx); err != nil {
		return err
	}
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
		terminal.Say(cctx, "%s is released; `composerp dlq redrive --quarantine %s` puts back what was set aside", q.Class, q.Class)
		released = append(released, q)
	}
	return showClasses(cctx, released)
}

func showClasses(cctx *cli.Context, classes []failures.Quarantine) error {
	return terminal.Show(cctx, classes, func(w io.Writer) {
		terminal.Row(w, "CLASS", "TYPE", "VERSION", "SINCE", "RELEASED", "SET ASIDE", "ERROR")
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
