package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failpoint"
)

// timer is work that no message asks for.
type timer struct {
	period time.Duration
	work   func(ctx context.Context, tx *Tx) (more bool, err error)
}

// Every runs work beside the slots, each time in a transaction of its own: at
// once again while it says that there is more, else after the period. Several
// processes run it at once: the work takes what is due by locking its row (FOR
// UPDATE SKIP LOCKED) and moves the row in the same transaction, so that each
// piece is done once, whoever is killed. What it says has EmitDue's ids.
//
// What is due must be found in the database, not by the clock of this machine.
func Every(period time.Duration, work func(ctx context.Context, tx *Tx) (more bool, err error)) Option {
	return func(w *Worker) {
		switch {
		case period <= 0: // it would look again and again without a pause
			panic(fmt.Sprintf("worker %s: the timer's period is %v", w.name, period))
		case w.timer.work != nil:
			panic(fmt.Sprintf("worker %s: Every is said twice", w.name))
		}
		w.timer = timer{period, work}
	}
}

// RunTimer does one transaction of the worker's timer and gives what was
// emitted. It is what package workertest stands on.
func (w Worker) RunTimer(ctx context.Context, db *store.DB) (emitted []event.Any, more bool, err error) {
	if w.timer.work == nil {
		return nil, false, fmt.Errorf("worker %s has no timer", w.name)
	}
	done, err := desk{worker: w, db: db}.transact(ctx, func(tx *Tx) (int, error) {
		return 0, guard(func() (err error) { more, err = w.timer.work(ctx, tx); failpoint.Hit("timer.worked"); return err })
	})
	failpoint.Hit("timer.committed")
	return done.emitted, more && err == nil, err
}

// runTimer runs the timer until ctx is done. A failure is said, counted and
// tried again: there is no message that could carry it away.
func (r *Runner) runTimer(ctx context.Context) {
	if r.Worker.timer.work == nil {
		return
	}
	for backoff := newBackoff(); ; {
		// What has begun is finished: broken off, it would only be begun again.
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
			if !sleep(ctx, r.Worker.timer.period) {
				return
			}
		default:
			if !errors.Is(err, store.ErrRetryable) {
				r.Metrics.timerFailures.WithLabelValues(r.Worker.name).Inc()
				r.Log.Error("the timer's work failed; trying again", "error", err)
			}
			if !backoff.wait(ctx) {
				return
			}
		}
	}
}

// EmitDue says what is due by the business date and not because of an event: a
// forecast, a timer. Its id follows from the worker, the key and the date, so
// that doing it again says the same again. like gives tenant, business time and trace.
func (tx *Tx) EmitDue(like event.Envelope, key string, date event.Date, aggregateID string, payload event.Payload) error {
	id := event.TimerID(tx.worker, like.TenantID+"\x00"+key, string(date))
	e, err := event.Encode(event.Envelope{
		ID: id, TenantID: like.TenantID, AggregateID: aggregateID, Timestamp: like.Timestamp,
		Metadata: event.Metadata{Source: tx.worker, CorrelationID: correlation(like, id), CausationID: causation(like), Traceparent: like.Metadata.Traceparent},
	}, payload)
	if err != nil {
		return fmt.Errorf("emitting %s: %w", payload.EventType(), err)
	}
	tx.emitted = append(tx.emitted, e)
	return nil
}

func correlation(like event.Envelope, own uuid.UUID) string {
	if like.Metadata.CorrelationID != "" {
		return like.Metadata.CorrelationID
	}
	return own.String()
}

func causation(like event.Envelope) string {
	if like.ID == uuid.Nil {
		return ""
	}
	return like.ID.String()
}
