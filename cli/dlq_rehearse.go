package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/deadletter"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers/worker"
)

// rehearse tells what would become of the letters.
func rehearse(cctx *cli.Context, c deadletter.Config, r deadletter.Redrive, fleet []worker.Worker) error {
	reports := []deadletter.RehearsalReport{}
	status := newStatus(cctx.App.ErrWriter)
	defer status.end()
	fails := 0
	for _, w := range fleet {
		report, err := c.Rehearse(cctx.Context, deadletter.Rehearsal{
			Queue: deadletter.Queue{Worker: w.Name(), Owes: w.Owes()}, Filter: r.Filter, Limit: r.Limit,
			Try: func(ctx context.Context, d exchange.Delivery) (deadletter.Verdict, error) {
				return try(ctx, c.DB, w, d)
			},
			Progress: func(done int) { status.say(fmt.Sprintf("%s: %d rehearsed", w.Name(), done)) },
		})
		if err != nil {
			return err
		}
		reports = append(reports, report)
		fails += report.Fails
	}
	status.end()
	err := show(cctx, reports, func(w io.Writer) {
		row(w, "QUEUE", "REHEARSED", "WOULD PASS", "HANDLED BEFORE", "PASS UP TO THE CALL", "WOULD FAIL")
		for _, r := range reports {
			row(w, r.Queue, r.Rehearsed, r.Passes, r.Duplicates, r.BeforeCall, r.Fails)
		}
		for _, r := range reports {
			showFailing(w, r.Failures, "WOULD FAIL")
		}
	})
	if err == nil && fails > 0 {
		err = findings{"some letters would fail again"}
	}
	return err
}

// try rehearses one message. What is no fault of the message's ends the rehearsal.
func try(ctx context.Context, db *store.DB, w worker.Worker, d exchange.Delivery) (deadletter.Verdict, error) {
	err := w.Rehearse(ctx, db, d)
	switch {
	case err == nil:
		return deadletter.Passes, nil
	case errors.Is(err, worker.ErrHandledBefore):
		return deadletter.Duplicate, nil
	case errors.Is(err, worker.ErrBeforeCall):
		return deadletter.BeforeCall, nil
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrSchema), errors.Is(err, store.ErrAccess):
		return deadletter.Fails, fmt.Errorf("%w: %w", deadletter.ErrNoVerdict, err)
	}
	return deadletter.Fails, err
}
