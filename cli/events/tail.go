package events

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventquery"
)

const flagFollow = "follow"

func tailCommand() *cli.Command {
	return &cli.Command{
		Name: "tail", Usage: "show the newest events of the log, and new ones as they are committed",
		Description: "With -f it goes on until it is interrupted: each committed event comes once, in the order of the log. What a tick has\n" +
			"not seen yet is not shown, so that an event whose transaction ends late is not passed over; without a fleet there are\n" +
			"no ticks, and nothing new is shown. It survives a restart of the database. The conditions are those of `events query`.\n\n" +
			"   composerp events tail -f --type 'inventory.*' --location UK-WH",
		Flags: filterFlags(
			&cli.BoolFlag{Name: flagFollow, Aliases: []string{"f"}, Usage: "go on with new events"},
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Value: 20, Usage: "begin with the newest `N` that match; 0: none; with --since all, unless given"},
		),
		Action: settings.OnSchema("events", 2, tailAsked, tailEvents),
	}
}

func tailAsked(cctx *cli.Context) (q eventquery.Query, err error) {
	if q.Limit = cctx.Int("lines"); q.Limit < 0 {
		return q, exit.Usage("--lines %d: want 0 or more", q.Limit)
	}
	if cctx.Bool(flagFollow) && cctx.String(terminal.FlagOutput) == "json" {
		return q, exit.Usage("a JSON list that goes on has no end: follow with -o ndjson, a JSON value a line")
	}
	q.Filter, err = filterAsked(cctx)
	return q, err
}

func tailEvents(cctx *cli.Context, db *store.DB, q eventquery.Query) error {
	terminal.IgnorePipe()
	out := newEventLines(cctx)
	q.Progress = out.reading
	first, take := q, out.write
	switch {
	case !cctx.IsSet("lines") && cctx.IsSet(flagSince):
		first.Limit = 0
	case q.Limit == 0: // none but the tick
		first.Limit, take = 1, func([]eventquery.Event) error { return nil }
		first.After = 1<<62 - 1
	}
	mark, result, err := eventquery.Tail(cctx.Context, db, first, take)
	if err == nil && cctx.Bool(flagFollow) {
		out.unreadable(cctx, result)
		q.Filter.After = 0
		err = eventquery.Follow(cctx.Context, db, q, mark, out.write, func(n eventquery.Change, err error) { tellChange(cctx, n, err) })
		if errors.Is(err, context.Canceled) {
			err = nil // an interrupt is how it ends
		}
		if out.written == 0 {
			return filterError(cctx, err)
		}
	}
	return filterError(cctx, out.end(err))
}

func tellChange(cctx *cli.Context, n eventquery.Change, err error) {
	switch n {
	case eventquery.Away:
		terminal.Say(cctx, "the database is away, trying again: %s", exit.OneLine(err))
	case eventquery.Back:
		terminal.Say(cctx, "the database is back; going on where it was")
	case eventquery.NoTickers:
		terminal.Say(cctx, "events are in the log that no tick has seen: they are shown once the fleet (composerp up, or relay) runs, or the transaction before them has ended")
	}
}
