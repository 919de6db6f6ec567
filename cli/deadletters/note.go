package deadletters

import (
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// note records in the operator log that letters are redriven or discarded: before that is done, and which were chosen.
func note(cctx *cli.Context, db *store.DB, action string, queues []string, of failures.LetterFilter, limit int) error {
	return operatorlog.NoteAlone(cctx.Context, db, settings.By(cctx), action, strings.Join(queues, ", "), nil, chosenBy(of, limit))
}

// Rehearsed is what the operator log keeps of a rehearsal, under ActionRehearse and the queue's name: which letters
// were chosen, and what today's worker would do with them.
type Rehearsed struct {
	Of        map[string]any `json:"of"`
	Rehearsed int            `json:"rehearsed"`
	Passes    int            `json:"passes"` // handled before, and up to a call, included
	Fails     int            `json:"fails"`
}

// ActionRehearse is `dlq redrive --dry-run` in the operator log.
const ActionRehearse = "dlq rehearse"

// noteRehearsals records what rehearsals have found.
func noteRehearsals(cctx *cli.Context, db *store.DB, r deadletters.Redrive, found []deadletters.RehearsalReport) error {
	for _, of := range found {
		after := Rehearsed{Of: chosenBy(r.Filter, r.Limit), Rehearsed: of.Rehearsed, Passes: of.Rehearsed - of.Fails, Fails: of.Fails}
		if err := operatorlog.NoteAlone(cctx.Context, db, settings.By(cctx), ActionRehearse, of.Queue, nil, after); err != nil {
			return err
		}
	}
	return nil
}

// noteUnrouted is note for messages that no queue was bound for, which need no database: where none is known, nothing
// is recorded.
func noteUnrouted(cctx *cli.Context, action string, of chosen) error {
	at, err := settings.Discover(cctx)
	if err != nil || at.Database == "" {
		return err
	}
	db, _, err := settings.OpenSchema(cctx, "dlq", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	return note(cctx, db, action, []string{topology.Unrouted}, of.LetterFilter, of.limit)
}

// chosenBy is what a filter says, without what it leaves open.
func chosenBy(of failures.LetterFilter, limit int) map[string]any {
	by := map[string]any{}
	for name, value := range map[string]string{"type": of.Type, "error": of.Error, "tenant": of.Tenant, "aggregate": of.Aggregate, "quarantine": of.Quarantine} {
		if value != "" {
			by[name] = value
		}
	}
	for name, at := range map[string]time.Time{"since": of.Since, "until": of.Until} {
		if !at.IsZero() {
			by[name] = at
		}
	}
	if len(of.IDs) > 0 {
		by["ids"] = of.IDs
	}
	if limit > 0 {
		by["limit"] = limit
	}
	return by
}
