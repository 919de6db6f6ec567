// Package replay has the command replay: events of the log once more, to a worker's queue, an exchange or a file.
package replay

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/replay"
)

const (
	flagQueue    = "queue"
	flagExchange = "exchange"
	flagFile     = "file"
	flagAgain    = "again"
	flagRate     = "rate"
	flagFrom     = "from"
	flagTo       = "to"
	flagLimit    = "limit"
	shown        = 50
)

// Command is the command `replay`.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "replay",
		Usage: "publish events of the log once more: to a worker's queue, an exchange of yours, or a file",
		Description: "Replays what the log holds now, in the order of the log, to exactly one of --queue, --exchange and --file.\n" +
			"--from and --to are times at which events were logged, or positions of the log; the business time has flags of its\n" +
			"own. A worker acknowledges what it has handled before as a duplicate. With --again it handles that once more, if it\n" +
			"can: events that it emitted the first time are not emitted twice. About a replayed event, and about all that\n" +
			"follows from it, no supplier, webhook or Alertmanager is called.\n" +
			"An interrupted replay is resumed by `composerp replay resume ID`; `composerp replay list` shows the ids.\n" +
			"An event older than the worker's inbox can check for duplicates is refused without --again.",
		Flags: settings.ConnectionFlags(
			&cli.StringFlag{Name: flagQueue, Aliases: []string{"worker"}, Usage: "to the queue of this worker, and of no other"},
			&cli.StringFlag{Name: flagExchange, Usage: "to this exchange, which is declared and not the fleet's, by the routing keys of the types"},
			&cli.StringFlag{Name: flagFile, Usage: "to a new file, one event a line as JSON, compressed where its name ends with .zst; - for standard output"},
			&cli.StringFlag{Name: flagFrom, Usage: "only events logged since: 2h, 2026-02-09T12:00:00Z, or a position of the log"},
			&cli.StringFlag{Name: flagTo, Usage: "only events logged before: 2h, or 2026-02-09T12:00:00Z"},
			&cli.StringFlag{Name: "occurred-since", Usage: "only events whose business time is not before `TIME`"},
			&cli.StringFlag{Name: "occurred-until", Usage: "only events whose business time is before `TIME`"},
			&cli.StringFlag{Name: "type", Usage: "types or routing keys, separated by commas, * for any characters; default all that the worker consumes"},
			&cli.StringFlag{Name: "tenant", Usage: "only the events of this tenant"},
			&cli.StringFlag{Name: "aggregate", Usage: "only events with this aggregateId"},
			&cli.StringFlag{Name: "correlation", Usage: "only events with this correlationId, and the event that began it"},
			&cli.IntFlag{Name: flagRate, Usage: "events a second, at most; 0: no limit"},
			&cli.BoolFlag{Name: flagAgain, Usage: "the worker handles also what it has handled before; needs --reason"},
			&cli.BoolFlag{Name: settings.FlagDryRun, Usage: "replay nothing; count the events by type"},
			archive.Flag(), terminal.OutputFlag(), settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator),
		),
		Action: replayAsked,
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list replays, the newest first",
				Flags:  settings.DatabaseFlags(&cli.IntFlag{Name: flagLimit, Value: shown, Usage: "at most this many; 0: all"}),
				Action: settings.OnSchema("replay", 1, terminal.Limit, list),
			},
			{
				Name: "show", Usage: "show a replay: what was asked for, and where it is", ArgsUsage: "ID",
				Flags:  settings.DatabaseFlags(),
				Action: settings.OnSchema("replay", 1, idAsked, show),
			},
			{
				Name: "resume", Usage: "go on with a replay that was interrupted", ArgsUsage: "ID",
				Description: "Goes on behind what the broker confirmed, or what is in the file. A process that still runs the replay stops.",
				Flags:       settings.ConnectionFlags(archive.Flag(), terminal.OutputFlag(), settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator)),
				Action:      resume,
			},
			{
				Name: "cancel", Usage: "end a replay for good", ArgsUsage: "ID",
				Description: "The process that runs it stops at its next page. What is in a queue already is handled.",
				Flags:       settings.DatabaseFlags(settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator)),
				Action:      settings.OnSchema("replay", 1, idAsked, cancel),
			},
		},
	}
}

func idAsked(cctx *cli.Context) (int64, error) {
	id, err := strconv.ParseInt(cctx.Args().First(), 10, 64)
	if err != nil || id < 1 || cctx.NArg() != 1 {
		return 0, exit.Usage("name one replay by its number; `composerp replay list` shows the numbers")
	}
	return id, nil
}

func list(cctx *cli.Context, db *store.DB, limit int) error {
	replays, err := terminal.Limited(cctx, limit, "the newest %d replays", func(most int) ([]replay.Replay, error) {
		return replay.List(cctx.Context, db, most)
	})
	if err != nil {
		return err
	}
	return showAll(cctx, replays)
}

func showAll(cctx *cli.Context, replays []replay.Replay) error {
	return terminal.ShowRows(cctx, replays, []any{"ID", "ASKED", "TO", "STATE", "EVENTS", "POSITION", "AGAIN", "WHO", "WHY"}, func(r *replay.Replay) []any {
		return []any{r.ID, terminal.Moment(r.AskedAt), string(r.Target) + " " + r.Name, stateOf(r), r.Events,
			strconv.FormatInt(r.At-r.First, 10) + " of " + strconv.FormatInt(r.Last-r.First, 10), terminal.YesNo(r.Again), r.Operator, r.Reason}
	})
}

func stateOf(r *replay.Replay) string {
	if r.Stalled {
		return "stalled"
	}
	return string(r.State)
}

func show(cctx *cli.Context, db *store.DB, id int64) error {
	r, err := replay.Get(cctx.Context, db, id)
	if err != nil {
		return err
	}
	return report(cctx, r)
}

func cancel(cctx *cli.Context, db *store.DB, id int64) error {
	r, err := replay.Cancel(cctx.Context, db, settings.By(cctx), id)
	if err != nil {
		return err
	}
	return report(cctx, r)
}
