// Package housekeeping bounds what a fleet keeps: the inbox's generations, and the records of failures and of late
// deliveries. And it seals the log.
//
// Its chores run beside the ticker, in the process that leads it (eventlog.NewTicker). Each is a
// short transaction that may be repeated: a crash leaves it to the next leader.
package housekeeping

import (
	"context"
	"log/slog"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/delays"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/seal"
)

// Chores are the ticker's chores on db.
func Chores(db *store.DB, log *slog.Logger) []func(context.Context) {
	return []func(context.Context){
		func(ctx context.Context) { thinFailures(ctx, db, log) },
		func(ctx context.Context) { thinDelays(ctx, db, log) },
		func(ctx context.Context) { rotateInbox(ctx, db, log) },
		func(ctx context.Context) { dropInbox(ctx, db, log) },
		func(ctx context.Context) { sealLog(ctx, db, log) },
	}
}

func thinFailures(ctx context.Context, db *store.DB, log *slog.Logger) {
	err := failures.ThinFailures(ctx, db, failures.FailureLife, failures.MostFailures)
	if err != nil && ctx.Err() == nil {
		log.Warn("old failures not deleted for now", "error", err)
	}
}

func thinDelays(ctx context.Context, db *store.DB, log *slog.Logger) {
	if err := delays.Thin(ctx, db, delays.Life, delays.Most); err != nil && ctx.Err() == nil {
		log.Warn("times of old deliveries not deleted for now", "error", err)
	}
}

func rotateInbox(ctx context.Context, db *store.DB, log *slog.Logger) {
	switch rotated, err := inbox.Rotate(ctx, db, inbox.GenerationLife); {
	case err != nil && ctx.Err() == nil:
		log.Warn("inbox not rotated for now", "error", err)
	case rotated:
		log.Info("inbox generation opened")
	}
}

func dropInbox(ctx context.Context, db *store.DB, log *slog.Logger) {
	switch dropped, err := inbox.Drop(ctx, db, inbox.GenerationLife); {
	case err != nil && ctx.Err() == nil:
		log.Warn("inbox generation not dropped for now", "error", err)
	case dropped > 0:
		log.Info("inbox generation dropped", "generation", dropped)
	}
}

func sealLog(ctx context.Context, db *store.DB, log *slog.Logger) {
	if _, err := seal.Seal(ctx, db); err != nil && ctx.Err() == nil {
		log.Warn("log not sealed for now", "error", err)
	}
}
