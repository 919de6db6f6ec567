package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/clock"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/failures"
)

// timer is work that no message asks for.
type timer struct {
	period time.Duration
	work   func(ctx context.Context, tx *Tx) (more bool, err error)
}

// Every runs work beside the slots, each time in a transaction of its own: at once
// again while it returns more, else after the period. Several processes run it at
// once: the work takes what is due by locking its row (FOR UPDATE SKIP LOCKED) and
// moves the row in the same transaction, so that each piece is done once even when
// a process is killed. It emits by tx.For(...).EmitDue.
//
// What is due must be found in the database, not by the clock of this machine.
func Every(period time.Duration, work func(ctx context.Context, tx *Tx) (more bool, err error)) Option {
	return func(w *Worker) {
		switch {
		case period <= 0: // it would run without a pause
			panic(fmt.Sprintf("worker %s: the timer's period is %v", w.name, period))
		case w.timer.work != nil:
			panic(fmt.Sprintf("worker %s: it has two Every", w.name))
		}
		w.timer = timer{period, work}
	}
}

// RunTimer runs the worker's timer for one transaction, and gives what was
// emitted. Tests use it.
func (w Worker) RunTimer(ctx context.Context, db *store.DB) (emitted []event.Any, more bool, err error) {
	if w.timer.work == nil {
		return nil, false, fmt.Errorf("worker %s has no timer", w.name)
	}
	done, err := processor{worker: w, db: db}.inTx(ctx, event.Envelope{}, func(tx *Tx) (int, error) {
		return 0, guard(func() (err error) { more, err = w.timer.work(ctx, tx); failpoint.Hit("timer.worked"); return err })
	})
	failpoint.Hit("timer.committed")
	return done.emitted, more && err == nil, err
}

const logTimerFailed = "the timer's work failed; trying again"

// runTimer runs the timer until ctx is done. A failure is logged, counted and
// tried again: no retry queue can take work that has no message.
func (r *Runner) runTimer(ctx context.Context) {
	if r.Worker.timer.work == nil {
		return
	}
	failed, kind := clock.Seldom{}, "" // of the last failure
	for backoff := newBackoff(); ; {
		// Work that has begun is finished: cancelled, it would only begin again.
		working, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		_, more, err := r.Worker.RunTimer(working, r.DB)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && more:
			backoff = newBackoff()
		case err == nil:
			backoff = newBackoff()
			failed.Reset()
			if !clock.Sleep(ctx, r.Worker.timer.period) {
				return
			}
		default:
			if !errors.Is(err, store.ErrRetryable) {
				r.Metrics.timerFailures.WithLabelValues(r.Worker.name).Inc()
				if now := failures.Fingerprint(err.Error()); now != kind {
					failed.Reset()
					kind = now
				}
				if failed.Due() {
					r.Log.Error(logTimerFailed, "error", err)
				}
			}
			if !backoff.wait(ctx) {
				return
			}
		}
	}
}
