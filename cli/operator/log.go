// Package operator has the command log, which shows what operators changed.
package operator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
)

const (
	flagBy     = "by"
	flagAction = "action"
	flagSince  = "since"
	flagLimit  = "limit"
	shown      = 50
	// longestChange is how much of a change a table shows.
	longestChange = 60
)

// LogCommand is the command `log`.
func LogCommand() *cli.Command {
	return &cli.Command{
		Name: "log", Usage: "what was changed by command; archives of the log of events",
		Subcommands: []*cli.Command{{
			Name: "operator", Usage: "list what operators and planners changed: who, when, what and why",
			Description: "Newest first: scale, pause, resume, drain; dlq redrive and discard, quarantine release, republish, replay; decisions about\n" +
				"orders and findings; imports of stock, changes of master data; epoch begin; topology apply and unbind. WHO is\n" +
				"--operator, else the user of the machine; WHY is --reason. -o json has the whole change.",
			Flags: settings.DatabaseFlags(
				&cli.StringFlag{Name: flagBy, Usage: "by this operator only"},
				&cli.StringFlag{Name: flagAction, Usage: "this action only, such as scale or dlq redrive; dlq finds all that begin so"},
				&cli.StringFlag{Name: flagSince, Usage: "at this time or later: 2026-02-09T12:00:00Z, 2026-02-09, or 2h for two hours ago"},
				&cli.IntFlag{Name: flagLimit, Value: shown, Usage: "at most this many; 0: all"},
			),
			Action: settings.OnSchema("log", 1, asked, listOperator),
		}, archive.Command()},
	}
}

func asked(cctx *cli.Context) (q operatorlog.Query, err error) {
	q = operatorlog.Query{Operator: cctx.String(flagBy), Action: cctx.String(flagAction)}
	if q.Limit, err = terminal.Limit(cctx); err != nil {
		return q, err
	}
	if q.Since, err = since(cctx.String(flagSince)); err != nil {
		return q, exit.Usage("--%s %w", flagSince, err)
	}
	return q, nil
}

func since(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return time.Now().Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q: want a time such as 2026-02-09T12:00:00Z, 2026-02-09 or 2h", text)
}

func listOperator(cctx *cli.Context, db *store.DB, q operatorlog.Query) error {
	entries, err := terminal.Limited(cctx, q.Limit, "the newest %d entries", func(most int) ([]operatorlog.Entry, error) {
		q.Limit = most
		return operatorlog.List(cctx.Context, db, q)
	})
	if err != nil {
		return err
	}
	return terminal.ShowRows(cctx, entries, []any{"WHEN", "WHO", "WHAT", "OF", "BEFORE", "AFTER", "WHY"}, func(e *operatorlog.Entry) []any {
		return []any{terminal.Moment(e.At), e.Operator, e.Action, e.Subject, short(e.Before), short(e.After), e.Reason}
	})
}

// short is a change on one line of bounded length.
func short(change json.RawMessage) string {
	var text bytes.Buffer
	if len(change) == 0 || json.Compact(&text, change) != nil {
		return "-"
	}
	return wording.Shortened(text.String(), longestChange)
}
