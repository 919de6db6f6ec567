// Package projections has the commands that rebuild read models from the log beside the live ones.
package projections

import (
	"cmp"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/store/projection"
	"github.com/composerp/composerp/workers"
)

// Command is the command `projections`.
func Command() *cli.Command {
	return &cli.Command{
		Name: "projections", Usage: "rebuild read models from the log beside the live ones, compare and switch",
		Description: "rebuild, diff, switch, back, cancel and drop-old make and move tables: they work as the owner of the database's tables.",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the projections: versions, rows, a rebuild in progress and its place in the log, the last switch",
				Flags: settings.DatabaseFlags(), Action: settings.OnSchema("projections", 2, settings.Nothing, list),
			},
			command("rebuild", "begin a rebuild, or go on with one, up to the end of the log",
				"It fills tables of its own while the worker goes on with the live ones. It may be interrupted at any time; the same\n"+
					"command goes on. One process at a time rebuilds a projection. Where the log's beginning is archived, give the files by\n"+
					"--archives; positions can do with the opening balances.", rebuild, true, archive.Flag()),
			{
				Name: "diff", Usage: "what the rebuilt tables would change of the live ones", ArgsUsage: "NAME",
				Description: "Both are compared as of one tick of the log; the live tables are not locked. Exit code 2: they differ.",
				Flags:       settings.DatabaseFlags(&cli.IntFlag{Name: "limit", Value: 20, Usage: "list at most this many rows"}),
				Action:      onOwner(diff),
			},
			command("switch", "make the rebuilt tables the live ones, and keep the old ones",
				"In one transaction: the worker goes on with the new tables, and no event is lost or counted twice. Tables kept before\n"+
					"are deleted. The kept ones are not kept current.", switchOver, true),
			command("back", "make the kept tables live again, and keep the others",
				"First it brings the kept tables up to the end of the log, by the code of this version.", back, false),
			command("cancel", "end a rebuild and delete its tables", "", cancel, false),
			command("drop-old", "delete the kept tables", "After it there is no going back.", dropOld, false),
		},
	}
}

func command(name, usage, description string, work func(*cli.Context, *store.DB, projection.Projection) error, dry bool, more ...cli.Flag) *cli.Command {
	flags := append(more, settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator))
	if dry {
		flags = append(flags, &cli.BoolFlag{Name: settings.FlagDryRun, Usage: "only show how the projection stands"})
	}
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "NAME", Description: description, Flags: settings.DatabaseFlags(flags...),
		Action: onOwner(func(cctx *cli.Context, db *store.DB, p projection.Projection) error {
			if !cctx.Bool(settings.FlagDryRun) {
				if err := work(cctx, db, p); err != nil {
					return err
				}
			}
			s, err := projection.Read(cctx.Context, db, p)
			if err != nil {
				return err
			}
			return show(cctx, []projection.State{s})
		}),
	}
}

// onOwner opens the database as the owner of its tables. Three connections: the lease, the log, the transaction.
func onOwner(work func(*cli.Context, *store.DB, projection.Projection) error) cli.ActionFunc {
	return settings.On(func(cctx *cli.Context) (*store.DB, error) {
		db, _, err := settings.OpenSchemaAs(cctx, grants.Migrator, "projections", 4)
		return db, err
	}, named, work)
}

func named(cctx *cli.Context) (projection.Projection, error) {
	var names []string
	for _, p := range workers.Projections() {
		if p.Name == cctx.Args().First() && cctx.NArg() == 1 {
			return p, nil
		}
		names = append(names, p.Name)
	}
	if cctx.NArg() != 1 {
		return projection.Projection{}, exit.Usage("want the name of one projection; `composerp projections list` shows them")
	}
	return projection.Projection{}, exit.Usage("no projection is named %q; %s`composerp projections list` shows them",
		cctx.Args().First(), terminal.Suggest(cctx.Args().First(), names))
}

func list(cctx *cli.Context, db *store.DB, _ struct{}) error {
	var states []projection.State
	for _, p := range workers.Projections() {
		s, err := projection.Read(cctx.Context, db, p)
		if err != nil {
			return err
		}
		states = append(states, s)
	}
	return show(cctx, states)
}

func show(cctx *cli.Context, states []projection.State) error {
	header := []any{"NAME", "VERSION", "LIVE", "ROWS", "REBUILD", "EVENTS READ", "BEHIND", "MOVED", "SWITCHED", "KEPT"}
	return terminal.ShowRows(cctx, states, header, func(s *projection.State) []any {
		read, behind := "-", "-"
		if s.Rebuild != nil {
			read, behind = fmt.Sprint(s.Events), fmt.Sprint(s.Behind)
		}
		return []any{
			s.Name, s.Version, s.Live, s.Rows, terminal.NumberOr(s.Rebuild), read, behind,
			terminal.Or(s.Moved, "-", terminal.Moment), terminal.Or(s.Switched, "-", terminal.Moment), terminal.NumberOr(s.Kept),
		}
	})
}

func rebuild(cctx *cli.Context, db *store.DB, p projection.Projection) error {
	var err error
	if p.Archives, err = archive.Given(cctx.Context, cctx, db); err != nil {
		return err
	}
	if p.Archives != nil {
		defer p.Archives.Close()
	}
	progress := terminal.NewStatus(cctx.App.ErrWriter)
	defer progress.End()
	return projection.Rebuild(cctx.Context, db, p, settings.Holder(), settings.By(cctx), func(events, left int64) {
		progress.Say(wording.Sprintf("read %d events, %d positions of the log are left", events, left))
	})
}

func diff(cctx *cli.Context, db *store.DB, p projection.Projection) error {
	report, err := projection.Diff(cctx.Context, db, p, settings.Holder(), max(0, cctx.Int("limit")))
	if err != nil {
		return err
	}
	err = terminal.Show(cctx, report, func(w io.Writer) {
		terminal.Row(w, "TABLE", "SAME", "ADDED", "REMOVED", "CHANGED")
		for _, t := range report.Totals {
			terminal.Row(w, t.Table, t.Same, t.Added, t.Removed, t.Changed)
		}
		if len(report.Rows) > 0 {
			terminal.Row(w)
			terminal.Row(w, "TABLE", "LIVE", "REBUILT")
		}
		for _, d := range report.Rows {
			terminal.Row(w, d.Table, cmp.Or(string(d.Live), "-"), cmp.Or(string(d.Rebuilt), "-"))
		}
	})
	if err == nil && report.Differs() {
		err = exit.Findings("the rebuilt tables differ from the live ones")
	}
	return err
}

func switchOver(cctx *cli.Context, db *store.DB, p projection.Projection) error {
	return projection.Switch(cctx.Context, db, p, settings.Holder(), settings.By(cctx))
}

func back(cctx *cli.Context, db *store.DB, p projection.Projection) error {
	return projection.Back(cctx.Context, db, p, settings.Holder(), settings.By(cctx))
}

func cancel(cctx *cli.Context, db *store.DB, p projection.Projection) error {
	return projection.Cancel(cctx.Context, db, p, settings.Holder(), settings.By(cctx))
}

func dropOld(cctx *cli.Context, db *store.DB, p projection.Projection) error {
	return projection.DropOld(cctx.Context, db, p, settings.Holder(), settings.By(cctx))
}
