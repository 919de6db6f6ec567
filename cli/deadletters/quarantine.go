package deadletters

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
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
				Flags:  settings.DatabaseFlags(&cli.BoolFlag{Name: "all", Usage: "also those released in the last 30 days"}),
				Action: settings.OnSchema("quarantine", 1, settings.Nothing, quarantineList),
			},
			{
				Name: "release", Usage: "allow retries for a class again", ArgsUsage: "CLASS...",
				Description: "Failures are counted from zero again. Letters that were held back stay dead until `composerp dlq redrive` returns them.",
				Flags:       settings.DatabaseFlags(settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator)),
				Action:      settings.OnSchema("quarantine", 1, classesNamed, quarantineRelease),
			},
		},
	}
}

func quarantineList(cctx *cli.Context, db *store.DB, _ struct{}) error {
	classes, err := failures.Quarantined(cctx.Context, db, cctx.Bool("all"))
	if err != nil {
		return err
	}
	return showClasses(cctx, classes)
}

func classesNamed(cctx *cli.Context) ([]string, error) {
	if cctx.NArg() == 0 {
		return nil, exit.Usage("name the classes; composerp quarantine list shows them")
	}
	return cctx.Args().Slice(), nil
}

func quarantineRelease(cctx *cli.Context, db *store.DB, classes []string) error {
	var released []failures.Quarantine
	for _, class := range classes {
		q, err := failures.ReleaseQuarantine(cctx.Context, db, settings.By(cctx), class)
		if errors.Is(err, store.ErrNotFound) {
			return unknownClass(cctx, db, class)
		}
		if err != nil {
			return err
		}
		terminal.Say(cctx, "%s is released; `composerp dlq redrive --quarantine %s` redrives what was held back", q.Class, q.Class)
		released = append(released, q)
	}
	return showClasses(cctx, released)
}

func unknownClass(cctx *cli.Context, db *store.DB, class string) error {
	var held []string
	classes, err := failures.Quarantined(cctx.Context, db, false)
	for _, q := range classes {
		held = append(held, q.Class)
	}
	if err != nil {
		return err
	}
	return exit.Usage("no class %q is in quarantine; %scomposerp quarantine list shows the classes", class, terminal.Suggest(class, held))
}

func showClasses(cctx *cli.Context, classes []failures.Quarantine) error {
	header := []any{"CLASS", "TYPE", "VERSION", "SINCE", "RELEASED", "HELD BACK", "ERROR"}
	return terminal.ShowRows(cctx, classes, header, func(q *failures.Quarantine) []any {
		return []any{q.Class, q.Type, q.Version, terminal.Moment(q.Since), terminal.Or(q.ReleasedAt, "no", terminal.Moment), q.HeldBack, q.Sample}
	})
}
