package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// What is due in these tests are rows of forecast_run: a place each, that says one
// event when it is taken and is done by that.

// due makes the given number of rows.
func (h *env) due(rows int) {
	h.Helper()
	storetest.Exec(h, h.URL, `
		INSERT INTO forecast_run (tenant_id, location_id, as_of, previous, closed_by, closed_at, correlation_id, traceparent)
		SELECT 'acme', 'shop-' || n, '2024-03-07', '2024-02-29', gen_random_uuid(), '2024-03-08T12:00Z', '', '' FROM generate_series(1, $1) n`, rows)
}

// doNext does the row that is due next, and tells whether there may be more.
func doNext(ctx context.Context, tx *worker.Tx) (more bool, err error) {
	run, err := planning.TakeForecastRun(ctx, tx)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	like := event.Envelope{ID: run.ClosedBy, TenantID: run.Tenant, Timestamp: run.ClosedAt}
	if err := tx.For(like).EmitDue(run.Location, run.AsOf, run.Location, anyPayload(run.Location)); err != nil {
		return false, err
	}
	return true, planning.MoveForecastRun(ctx, tx, run, 1, true)
}

func anyPayload(location string) event.Payload {
	return event.InventoryLowStock{ItemID: "cup", LocationID: location, Available: event.NewDecimal(0), Threshold: event.NewDecimal(1)}
}

// timed is a worker with a timer beside a handler.
func timed(period time.Duration, work func(context.Context, *worker.Tx) (bool, error)) worker.Worker {
	return echoing(&tries{}, nil, worker.Every(period, work))
}

const short = 5 * time.Millisecond

// Two processes' timers at once, while their slots work: each piece is done once.
func TestTimersShareWhatIsDue(t *testing.T) {
	t.Parallel()
	const rows, messages = 150, 50
	w := timed(short, doNext)
	h := newEnv(t, w)
	h.RunWorker(w, 2)
	h.RunWorker(w, 2)
	h.due(rows)
	h.Publish(sales(t, messages)...)
	h.wantEffects(rows + messages)
	if n := storetest.Value[int](t, h.URL, `SELECT sum(made) FROM forecast_run WHERE done`); n != rows {
		t.Errorf("%d pieces were done, want %d", n, rows)
	}
}

// As long as there is more it goes on at once, and then it waits.
func TestATimerGoesOnWhileThereIsMore(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	w := timed(time.Hour, func(ctx context.Context, tx *worker.Tx) (bool, error) {
		calls.Add(1)
		return doNext(ctx, tx)
	})
	h := newEnv(t, w)
	h.due(20)
	r := h.RunWorker(w, 1)
	h.wantEffects(20)
	h.Eventually("it has looked once more", func() bool { return calls.Load() == 21 })
	h.Publish(sales(t, 1)...)
	h.wantEffects(21)
	r.End()
	if n := calls.Load(); n != 21 {
		t.Errorf("it looked %d times within its period", n)
	}
}

// A failure of any kind undoes the piece, is counted and said, and the piece is done later.
func TestATimerTriesAgain(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	w := timed(short, func(ctx context.Context, tx *worker.Tx) (bool, error) {
		more, err := doNext(ctx, tx)
		switch n := calls.Add(1); {
		case err != nil || !more:
			return more, err
		case n == 1:
			return true, errors.New("the pen is dry")
		case n == 2:
			panic("the table is gone")
		case n == 3:
			return true, fmt.Errorf("another was first: %w", store.ErrRetryable)
		}
		return more, err
	})
	h := newEnv(t, w)
	h.due(3)
	r := h.RunWorker(w, 1)
	h.wantEffects(3)
	if n := r.Metric("composerp_worker_timer_failures_total"); n != 2 {
		t.Errorf("%v failures are counted, want two: a collision is none", n)
	}
	for _, what := range []string{"the pen is dry", "the table is gone"} {
		if !r.Logs.Has("ERROR", what) {
			t.Errorf("the log does not have that %s", what)
		}
	}
}

// What has begun when the process is told to stop is finished, and nothing is begun after it.
func TestATimerFinishesWhatItHasBegun(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 10), make(chan struct{})
	w := timed(short, func(ctx context.Context, tx *worker.Tx) (bool, error) {
		begun <- struct{}{}
		<-finish
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		return doNext(ctx, tx)
	})
	h := newEnv(t, w)
	h.due(2)
	r := h.StartWorker(w, 1)
	workertest.Wait(h, "it begins", begun)
	r.Stop()
	close(finish)
	r.End()
	h.wantEffects(1)
	if len(begun) != 0 {
		t.Error("it began once more after it was told to stop")
	}
}

// Neither a broker that is away nor a database that comes back stops a timer.
func TestATimerOutlastsItsServers(t *testing.T) {
	t.Parallel()
	w := timed(short, doNext)
	h := newEnv(t, w)
	// No server listens there: no slot will ever consume.
	away := workertest.NewLink(h, "tcp://127.0.0.1:1")
	away.Break()
	h.Broker.URLs = []string{strings.Replace(away.URL, "tcp://", "amqp://guest:guest@", 1)}
	door := workertest.NewLink(h, h.URL)
	h.DB = storetest.Open(t, door.URL, 2)
	h.due(1)
	r := h.StartWorker(w, 1)
	h.wantEffects(1)
	door.Break()
	h.Eventually("the database is missed", func() bool { return r.Metric("composerp_worker_timer_failures_total") > 0 })
	storetest.Exec(t, h.URL, `UPDATE forecast_run SET as_of = '2024-03-14', done = false`)
	door.Restore()
	h.wantEffects(2)
}

func TestWhatATimerSays(t *testing.T) {
	t.Parallel()
	said := func(like event.Envelope, key string, date event.Date) event.Any {
		w := timed(time.Hour, func(_ context.Context, tx *worker.Tx) (bool, error) {
			return false, tx.For(like).EmitDue(key, date, "a-1", anyPayload("shop"))
		})
		emitted, more, err := w.RunTimer(t.Context(), storetest.DB(t))
		if err != nil || more || len(emitted) != 1 {
			t.Fatalf("said were %d events, %v", len(emitted), err)
		}
		return emitted[0]
	}
	cause := uuid.New()
	like := event.Envelope{ID: cause, TenantID: "acme", Timestamp: workertest.Day, Metadata: event.Metadata{
		CorrelationID: "c", Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", UserID: "someone", Sequence: 7}}
	e := said(like, "cup", "2024-03-01")
	want := event.Metadata{Source: "echo", CorrelationID: "c", CausationID: cause.String(), Traceparent: like.Metadata.Traceparent}
	if e.Metadata != want || e.TenantID != "acme" || !e.Timestamp.Equal(workertest.Day) || e.AggregateID != "a-1" || e.Type != event.TypeInventoryLowStock {
		t.Errorf("want %+v, got %+v", want, e.Envelope)
	}
	ids := map[uuid.UUID]string{e.ID: "the first"}
	other := like
	other.TenantID = "other"
	for what, e := range map[string]event.Any{
		"another key": said(like, "jar", "2024-03-01"), "another day": said(like, "cup", "2024-03-02"), "another tenant": said(other, "cup", "2024-03-01"),
	} {
		if known, is := ids[e.ID]; is {
			t.Errorf("%s has the id of %s", what, known)
		}
		ids[e.ID] = what
	}
	later := like
	later.ID, later.Timestamp = uuid.New(), workertest.Day.Add(time.Hour)
	if again := said(later, "cup", "2024-03-01"); again.ID != e.ID {
		t.Error("the same key on the same day has another id")
	}
	alone := said(event.Envelope{TenantID: "acme", Timestamp: workertest.Day}, "cup", "2024-03-03")
	if alone.Metadata != (event.Metadata{Source: "echo", CorrelationID: alone.ID.String()}) {
		t.Errorf("what has no cause has the traces %+v", alone.Metadata)
	}
}

// A piece that fails leaves nothing: neither what it wrote nor what it said.
func TestAFailedPieceLeavesNothing(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	h.due(1)
	w := timed(time.Hour, func(ctx context.Context, tx *worker.Tx) (bool, error) {
		if more, err := doNext(ctx, tx); err != nil || !more {
			return more, err
		}
		return true, errors.New("late")
	})
	if emitted, more, err := w.RunTimer(t.Context(), h.DB); err == nil || more || len(emitted) != 0 {
		t.Errorf("want the error alone, got %d events, more %t, %v", len(emitted), more, err)
	}
	if all, _ := h.effects(); all != 0 {
		t.Errorf("%d events are in the log", all)
	}
	if due, err := planning.DueForecasts(t.Context(), h.DB); err != nil || due != 1 {
		t.Errorf("%d rows are due, %v", due, err)
	}
	if _, _, err := echoing(&tries{}, nil).RunTimer(t.Context(), h.DB); err == nil || !strings.Contains(err.Error(), "no timer") {
		t.Errorf("a worker without a timer says %v", err)
	}
}

func TestTimersThatContradictThemselvesPanic(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]worker.Option{
		"no pause": {worker.Every(0, doNext)}, "two timers": {worker.Every(time.Second, doNext), worker.Every(time.Second, doNext)},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: want a panic", name)
				}
			}()
			echoing(&tries{}, nil, options...)
		}()
	}
}
