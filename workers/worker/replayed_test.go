package worker_test

import (
	"context"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/again"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// replayedBy is the message in which a replay publishes an event of the log.
func replayedBy(id int64, again bool, e event.Any) rabbitmq.Delivery {
	d := workertest.Delivery(e)
	d.Headers[rabbitmq.HeaderReplay] = id
	if again {
		d.Headers[rabbitmq.HeaderReplayAgain] = true
	}
	return d
}

// Handled again, an event is handled once for each replay, and appends only what the log does not have: also when two
// replays have it handled at once, and where the inbox's proof is gone.
func TestHandledAgain(t *testing.T) {
	t.Parallel()
	env := workertest.NewDatabaseEnv(t)
	handled, emits := make(chan int64, 100), 1
	w := worker.New("echo", again.Harmless(), worker.On(func(_ context.Context, tx *worker.Tx, e event.Of[event.SaleCompleted]) error {
		handled <- e.Metadata.Replay
		for range emits {
			if err := tx.Emit("p", 0, event.InventoryLowStock{ItemID: "cup", LocationID: "shop"}); err != nil {
				return err
			}
		}
		return nil
	}))
	env.Admit(workertest.Sales(t, 1)...)
	sale := loggedOf(t, env)
	deliver := func(want int, deliveries ...rabbitmq.Delivery) {
		t.Helper()
		for len(handled) > 0 {
			<-handled
		}
		if _, err := workertest.Deliver(t, env.DB, w, deliveries...); err != nil {
			t.Fatal(err)
		}
		if len(handled) != want {
			t.Errorf("the event was handled %d times, want %d", len(handled), want)
		}
	}
	logHas := func(want int, what string) {
		t.Helper()
		n := storetest.One[int](t, env.SQL(), `SELECT count(*) FROM event_log WHERE type = 'INVENTORY_LOW_STOCK'`)
		ids := storetest.One[int](t, env.SQL(), `SELECT count(DISTINCT event_id) FROM event_log WHERE type = 'INVENTORY_LOW_STOCK'`)
		if n != want || ids != want {
			t.Errorf("%s the log has %d events of %d ids, want %d", what, n, ids, want)
		}
	}
	deliver(1, workertest.Delivery(sale))
	deliver(0, replayedBy(1, false, sale))
	deliver(1, replayedBy(2, true, sale), replayedBy(2, true, sale))
	deliver(0, replayedBy(2, true, sale)) // a second delivery
	logHas(1, "after a replay")
	emits = 2 // the worker was repaired: the second event is new
	deliver(1, replayedBy(3, true, sale))
	deliver(1, replayedBy(4, true, sale))
	deliver(0, replayedBy(3, true, sale)) // an earlier one's, late
	logHas(2, "after the worker emits more")
	marked := storetest.One[string](t, env.SQL(), `SELECT string_agg(body::jsonb -> 'metadata' ->> 'replay', ',') FROM event_log WHERE type = 'INVENTORY_LOW_STOCK'`)
	if marked != "3" {
		t.Errorf("the marks of what was emitted are %q, want 3 alone", marked)
	}
	emits = 3
	storetest.Concurrently(t, func(ctx context.Context) error {
		_, err := w.Handle(ctx, env.DB, replayedBy(5, true, sale))
		return err
	}, func(ctx context.Context) error {
		_, err := w.Handle(ctx, env.DB, replayedBy(6, true, sale))
		return err
	})
	logHas(3, "after two replays at once")
	// As after a rotation that dropped the generation, and a restore of tables: nothing proves what was emitted.
	env.Exec(`DELETE FROM handled_again`)
	env.Exec(`DELETE FROM inbox`)
	env.Exec(`UPDATE inbox_generation SET generation = 2`)
	env.Exec(`CREATE TABLE inbox_2 PARTITION OF inbox FOR VALUES IN (2)`)
	deliver(1, replayedBy(7, true, sale))
	logHas(3, "without the inbox's proof")
}

// About what a replay published no call is made, nor prepared; the mark of an external publisher says nothing.
func TestCallsAreSilentInAReplay(t *testing.T) {
	t.Parallel()
	env := workertest.NewEnv(t)
	prepared, called := make(chan struct{}, 10), make(chan struct{}, 10)
	w := worker.New("caller", worker.OnPreparedCall(
		func(context.Context, *worker.Tx, event.Of[event.SaleCompleted]) (int, error) {
			prepared <- struct{}{}
			return 1, nil
		},
		func(context.Context, event.Of[event.SaleCompleted], int) (worker.Record, error) {
			called <- struct{}{}
			return nil, nil
		}))
	env.Apply(w)
	env.AdmitPublished(workertest.Sales(t, 1)...)
	logged := loggedOf(t, env)
	p := env.RunWorker(w, 1)
	silent, lied := replayedBy(9, false, logged), workertest.Delivery(claimsReplay(t, workertest.Sales(t, 1)[0]))
	lied.Headers = map[string]any{rabbitmq.HeaderReplay: int64(9)}
	relayed := claimsReplay(t, workertest.Sales(t, 1)[0])
	relayed.LogSeq = logged.LogSeq + 1
	env.Send(silent.Message, silent.Message, lied.Message, workertest.Delivery(relayed).Message)
	replayed := func(outcome string) float64 {
		return p.Metric("composerp_worker_replayed_total", "worker", "caller", "outcome", outcome)
	}
	env.Eventually("all four messages are done", func() bool { return p.Messages("handled")+p.Messages("duplicate") == 4 })
	if len(prepared) != 2 || len(called) != 2 {
		t.Errorf("%d calls were prepared and %d made, want those of the external publisher's two events", len(prepared), len(called))
	}
	if s, d, h := replayed("silent"), replayed("duplicate"), replayed("handled"); s != 1 || d != 1 || h != 0 {
		t.Errorf("replayed: silent %v, duplicate %v, handled %v; want 1, 1, 0", s, d, h)
	}
	if !p.Logs.Has("an event follows from a replay; no call is made about it") {
		t.Errorf("the log does not say that a call was left out:\n%s", p.Logs)
	}
}

// claimsReplay is the event, with a mark that its publisher wrote.
func claimsReplay(t *testing.T, e event.Any) event.Any {
	t.Helper()
	claims := e.Envelope
	claims.Metadata.Replay = 9
	return storetest.MustGet(event.Encode(claims, e.Payload))(t)
}

// loggedOf is the only event of the log.
func loggedOf(t *testing.T, env *workertest.Env) event.Any {
	t.Helper()
	e, err := event.Decode(storetest.One[[]byte](t, env.SQL(), `SELECT body FROM event_log`))
	if err != nil {
		t.Fatal(err)
	}
	e.LogSeq = storetest.One[int64](t, env.SQL(), `SELECT seq FROM event_log`)
	return e
}
