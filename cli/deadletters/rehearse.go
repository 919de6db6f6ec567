package deadletters

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers/runtime/deadletters"
	"github.com/composerp/composerp/workers/worker"
)

// rehearse reports what would happen to the letters.
func rehearse(cctx *cli.Context, c deadletters.Config, r deadletters.Redrive, fleet []worker.Worker) error {
	reports := []deadletters.RehearsalReport{}
	status := terminal.NewStatus(cctx.App.ErrWriter)
	defer status.End()
	fails := 0
	for _, w := range fleet {
		report, err := c.Rehearse(cctx.Context, deadletters.Rehearsal{
			Queue: deadletters.Queue{Worker: w.Name(), TracksInbox: w.TracksInbox()}, Filter: r.Filter, Limit: r.Limit,
			Try: func(ctx context.Context, d rabbitmq.Delivery) (deadletters.Verdict, error) {
				return try(ctx, c.DB, w, d)
			},
			Progress: func(done int) { status.Say(fmt.Sprintf("%s: %d rehearsed", w.Name(), done)) },
		})
		if err != nil {
			return err
		}
		reports = append(reports, report)
		fails += report.Fails
	}
	status.End()
	err := terminal.Show(cctx, reports, func(w io.Writer) {
		terminal.Row(w, "QUEUE", "REHEARSED", "WOULD PASS", "HANDLED BEFORE", "PASS UP TO THE CALL", "WOULD FAIL")
		for _, r := range reports {
			terminal.Row(w, r.Queue, r.Rehearsed, r.Passes, r.Duplicates, r.BeforeCall, r.Fails)
		}
		for _, r := range reports {
			showFailing(w, r.Failures, "WOULD FAIL")
		}
	})
	if err == nil && fails > 0 {
		err = exit.Findings("some letters would fail again")
	}
	return err
}

// try rehearses one message. An error that is not the message's own ends the rehearsal.
func try(ctx context.Context, db *store.DB, w worker.Worker, d rabbitmq.Delivery) (deadletters.Verdict, error) {
	err := w.Rehearse(ctx, db, d)
	switch {
	case err == nil:
		return deadletters.Passes, nil
	case errors.Is(err, worker.ErrHandledBefore):
		return deadletters.Duplicate, nil
	case errors.Is(err, worker.ErrBeforeCall):
		return deadletters.BeforeCall, nil
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrSchema), errors.Is(err, store.ErrAccess):
		return deadletters.Fails, fmt.Errorf("%w: %w", deadletters.ErrNoVerdict, err)
	}
	return deadletters.Fails, err
}
