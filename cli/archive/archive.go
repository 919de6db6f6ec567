// Package archive has the commands log archive, which move old partitions of the log into files and check these, and
// the flag --archives by which other commands read them.
package archive

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	kept "github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers/runtime/archive"
)

const (
	flagTo        = "to"
	flagOlderThan = "older-than"
	flagUntil     = "until"
)

// Command is the command `log archive`.
func Command() *cli.Command {
	return &cli.Command{
		Name: "archive", Usage: "move old partitions of the log into files, and drop them",
		Description: "A partition has a million positions. Whole ones go, the oldest first: those whose events were all logged before the\n" +
			"time given, and that nothing needs any more: full, sealed, proven by an audit, read by every cursor, replay and\n" +
			"rebuild. Each is written to a file of --to (one event a line, JSON, compressed by zstd), read back and held against the\n" +
			"chain of seals; then it is noted and dropped in one transaction. After a crash the same command goes on.\n" +
			"Give each log a directory of its own, on a disk that is backed up: after this the files alone have these events.\n" +
			"It works as the owner of the database's tables. `events query`, `events verify`, `replay` and `projections rebuild` read\n" +
			"the files with --archives DIRECTORY.\n\n" +
			"   composerp log archive --older-than 400d --to /srv/archives --dry-run",
		Flags: settings.DatabaseFlags(
			&cli.PathFlag{Name: flagTo, Usage: "the `DIRECTORY` of the files; it must exist"},
			&cli.StringFlag{Name: flagOlderThan, Usage: "only partitions whose events are older than this, such as 400d; default: the setting archive-after"},
			&cli.StringFlag{Name: flagUntil, Usage: "only partitions whose events were logged before `TIME`: 2026-02-09T12:00:00Z"},
			&cli.BoolFlag{Name: settings.FlagDryRun, Usage: "change nothing; show which partitions would go, and what the next one waits for"},
			settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator), settings.FlagOf(settings.FlagArchiveAfter),
		),
		Action: settings.On(asOwner, asked, archiveLog),
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the archives: files, positions, events, digests, when and by whom",
				Flags: settings.DatabaseFlags(), Action: settings.OnSchema("archive", 1, settings.Nothing, list),
			},
			{
				Name: "verify", Usage: "check the files of a directory against their notes and the chain of seals", ArgsUsage: "[DIRECTORY]",
				Description: "Without DIRECTORY it reads that of the command. Reads every file whole. Exits 0 when all are as they were written,\n" +
					"2 when one was changed, cut or is missing.",
				Flags: settings.DatabaseFlags(), Action: settings.OnSchema("archive", 2, dirAsked, verify),
			},
		},
	}
}

func asOwner(cctx *cli.Context) (*store.DB, error) {
	db, _, err := settings.OpenSchemaAs(cctx, grants.Migrator, "archive", 3)
	return db, err
}

// question is what to archive, and where to.
type question struct {
	dir   string
	until time.Time
}

func asked(cctx *cli.Context) (q question, err error) {
	q.dir = cctx.Path(flagTo)
	if q.dir == "" && !cctx.Bool(settings.FlagDryRun) {
		return q, exit.Usage("--to: name the directory of the files")
	}
	older := cctx.String(flagOlderThan)
	switch {
	case older != "" && cctx.String(flagUntil) != "":
		return q, exit.Usage("give one of --older-than and --until")
	case cctx.String(flagUntil) != "":
		q.until, err = terminal.ReadTime(flagUntil, cctx.String(flagUntil), time.Time{})
		return q, err
	case older == "":
		v, err := settings.Configured(cctx).Value(settings.Named(settings.FlagArchiveAfter))
		if err != nil {
			return q, err
		}
		if older = v.Text; older == "" {
			return q, exit.Usage("say how old events must be: --older-than 400d, --until TIME, or the setting archive-after")
		}
	}
	age, err := settings.Age(older)
	if err != nil {
		return q, exit.Usage("--older-than %w", err)
	}
	q.until = time.Now().Add(-age)
	return q, nil
}

func archiveLog(cctx *cli.Context, db *store.DB, q question) error {
	if cctx.Bool(settings.FlagDryRun) {
		return showPlan(cctx, db, q)
	}
	status := terminal.NewStatus(cctx.App.ErrWriter)
	cfg := archive.Config{DB: db, Dir: q.dir, Until: q.until, By: settings.By(cctx), Progress: func(step string, done, of int64) {
		if done%1000 == 0 || done == of {
			status.Say(wording.Sprintf("%d of %d positions are "+step, done, of))
		}
	}}
	made, err := archive.Run(cctx.Context, cfg)
	status.End()
	if err != nil {
		for _, a := range made {
			terminal.Say(cctx, "archived %s before that", a.File)
		}
		return err
	}
	if made == nil {
		made = []kept.Archive{}
	}
	if err := show(cctx, made); err != nil {
		return err
	}
	plan, err := archive.Plan(cctx.Context, db, q.until)
	if err == nil && len(plan) > 0 && len(plan[0].Held) > 0 {
		terminal.Say(cctx, "%s stays: %s", plan[0].Name, strings.Join(plan[0].Held, "; "))
	}
	return err
}

func showPlan(cctx *cli.Context, db *store.DB, q question) error {
	plan, err := archive.Plan(cctx.Context, db, q.until)
	if err != nil {
		return err
	}
	return terminal.ShowRows(cctx, plan, []any{"PARTITION", "POSITIONS", "SIZE", "LOGGED UP TO", "WAITS FOR"}, func(c *archive.Candidate) []any {
		waits := "nothing: it would be archived"
		if len(c.Held) > 0 {
			waits = strings.Join(c.Held, "; ")
		}
		return []any{c.Name, positions(c.Low, c.High), megabytes(c.Size), terminal.Or(c.LoggedUpto, "-", terminal.Moment), waits}
	})
}

func positions(low, high int64) string {
	return strconv.FormatInt(low, 10) + ".." + strconv.FormatInt(high-1, 10)
}

func megabytes(n int64) string { return strconv.FormatInt((n+1<<19)>>20, 10) + " MB" }

func list(cctx *cli.Context, db *store.DB, _ struct{}) error {
	archives, err := kept.List(cctx.Context, db)
	if err != nil {
		return err
	}
	return show(cctx, archives)
}

func show(cctx *cli.Context, archives []kept.Archive) error {
	return terminal.ShowRows(cctx, archives, []any{"FILE", "POSITIONS", "EVENTS", "SIZE", "SHA-256", "SEALS", "ARCHIVED", "WHO", "WHY"}, func(a *kept.Archive) []any {
		return []any{
			a.File, positions(a.Low, a.High), a.Events, megabytes(a.Bytes), a.SHA256.String()[:16], positions(a.FirstSeal, a.LastSeal+1),
			terminal.Moment(a.ArchivedAt), a.Operator, a.Reason,
		}
	})
}

func dirAsked(cctx *cli.Context) (string, error) {
	if cctx.NArg() > 1 {
		return "", exit.Usage("name one directory, got %q too", cctx.Args().Get(1))
	}
	if cctx.NArg() == 1 {
		return cctx.Args().First(), nil
	}
	return ".", nil
}

func verify(cctx *cli.Context, db *store.DB, dir string) error {
	status := terminal.NewStatus(cctx.App.ErrWriter)
	checked, err := archive.Check(cctx.Context, db, dir, func(done, of int64) { status.Say(wording.Sprintf("checked %d of %d archives", done, of)) })
	status.End()
	if err != nil {
		return err
	}
	wrong := 0
	for _, c := range checked {
		if !c.OK {
			wrong++
		}
	}
	err = terminal.Show(cctx, checked, func(w io.Writer) {
		header := []any{"FILE", "POSITIONS", "EVENTS", "AS WRITTEN", "WHAT IS WRONG"}
		terminal.Table(w, checked, header, func(c *archive.Checked) []any {
			problems := "-"
			if !c.OK {
				problems = strings.Join(c.Problems, "; ")
			}
			return []any{c.File, positions(c.Low, c.High), c.Events, terminal.YesNo(c.OK), problems}
		})
	})
	if err == nil && wrong > 0 {
		err = exit.Findings("archives are not as they were written")
	}
	return err
}

// FlagArchives is the flag of commands that read archives beside the log.
const FlagArchives = "archives"

// Flag is --archives.
func Flag() cli.Flag {
	return &cli.PathFlag{Name: FlagArchives, Usage: "read the archived part of the log from the files of this `DIRECTORY`"}
}

// Given opens the directory that --archives names; nil where the flag is not given. Close it.
func Given(ctx context.Context, cctx *cli.Context, db *store.DB) (*kept.Folder, error) {
	dir := cctx.Path(FlagArchives)
	if dir == "" {
		return nil, nil
	}
	return kept.Open(ctx, db, dir)
}

// Tell says on stderr that events which a query asks for are in archives that were not given.
func Tell(cctx *cli.Context, db *store.DB, q *eventquery.Query) error {
	upto, err := q.Archived(cctx.Context, db)
	if err == nil && upto > 0 {
		say(cctx, upto, "it is not read")
	}
	return err
}

// TellCut says on stderr what is missing because a part of the log is archived, if one is.
func TellCut(cctx *cli.Context, db *store.DB, missing string) error {
	cut, err := kept.Cut(cctx.Context, db)
	if err == nil && cut > 0 {
		say(cctx, cut, missing)
	}
	return err
}

func say(cctx *cli.Context, upto int64, missing string) {
	terminal.Say(cctx, "what is before position %s of the log is archived: %s; --archives DIRECTORY reads it, and `composerp log archive list` names the files",
		strconv.FormatInt(upto, 10), missing)
}

// Holding tells where an event is that the log does not have any more; "": it is not known to be in an archive.
func Holding(ctx context.Context, db *store.DB, id uuid.UUID) (string, error) {
	at, err := eventlog.AdmittedAt(ctx, db, []uuid.UUID{id})
	if err != nil {
		return "", err
	}
	archives, err := kept.List(ctx, db)
	for _, a := range archives {
		if seq, is := at[id]; is && a.Low <= seq && seq < a.High {
			return a.File, err
		}
	}
	return "", err
}
