package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// everything is how many rows each table has.
func everything(t testing.TB, url string) string {
	t.Helper()
	tables := storetest.Value[string](t, url, `SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_stat_user_tables`)
	var counts []string
	for _, table := range strings.Fields(tables) {
		counts = append(counts, fmt.Sprintf("%s: %d", table, storetest.Value[int](t, url, `SELECT count(*) FROM `+table)))
	}
	if len(counts) < 20 {
		t.Fatalf("only %d tables found", len(counts))
	}
	return strings.Join(counts, "\n")
}

func TestARehearsalWritesNothing(t *testing.T) {
	t.Parallel()
	good, bad := workertest.Sale(t, "cup", "shop", "1"), workertest.Sale(t, "jug", "shop", "1")
	cause := errors.New("no jug is left")
	called := false
	call := func(context.Context, event.Of[event.SaleCompleted]) (worker.Record, error) {
		called = true
		return nil, nil
	}
	noted := 0
	note := func(tx *worker.Tx, e event.Envelope) error {
		if e.ID == bad.ID {
			return worker.ErrNoCall
		}
		noted++
		return nil
	}
	garbage := workertest.Delivery(good)
	garbage.Body = []byte("garbage")
	for name, c := range map[string]struct {
		w    worker.Worker
		d    rabbitmq.Delivery
		want error
	}{
		"what passes":        {echoing(&tries{}, failing(bad, cause)), workertest.Delivery(good), nil},
		"what fails":         {echoing(&tries{}, failing(bad, cause)), workertest.Delivery(bad), cause},
		"what is rejected":   {echoing(&tries{}, failing(bad, worker.Reject(cause))), workertest.Delivery(bad), worker.ErrRejected},
		"what can't be read": {echoing(&tries{}, nil), garbage, worker.ErrRejected},
		"a call":             {worker.New("echo", worker.OnCall(call)), workertest.Delivery(good), worker.ErrBeforeCall},
		"a prepared call":    {prepared(note, func(int64) (worker.Record, error) { called = true; return nil, nil }), workertest.Delivery(good), worker.ErrBeforeCall},
		"nothing to call":    {prepared(note, func(int64) (worker.Record, error) { called = true; return nil, nil }), workertest.Delivery(bad), nil},
		"an idempotent worker": {worker.New("echo", worker.Idempotent(), worker.On(func(_ context.Context, tx *worker.Tx, e event.Of[event.SaleCompleted]) error {
			return echo(tx, e.Envelope)
		})), workertest.Delivery(good), nil},
	} {
		url := storetest.URL(t)
		db := storetest.Open(t, url, 2)
		before := everything(t, url)
		for range 2 {
			if err := c.w.Rehearse(t.Context(), db, c.d); !errors.Is(err, c.want) {
				t.Errorf("%s: it says %v, want %v", name, err, c.want)
			}
		}
		if after := everything(t, url); after != before {
			t.Errorf("%s: there were\n%s\nand are\n%s", name, before, after)
		}
	}
	if called || noted != 2 {
		t.Errorf("a call was made: %v; prepared were %d", called, noted)
	}
}

// After a rehearsal the event is as new as before; after its handling it is none.
func TestARehearsalKnowsWhatWasHandled(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	w := echoing(&tries{}, nil)
	sale := workertest.Sale(t, "cup", "shop", "1")
	if err := w.Rehearse(t.Context(), db, workertest.Delivery(sale)); err != nil {
		t.Errorf("before, it says %v", err)
	}
	if said, err := workertest.Handle(t, db, w, sale); err != nil || len(said) != 1 {
		t.Fatalf("it is handled with %v, %v", said, err)
	}
	before := everything(t, url)
	if err := w.Rehearse(t.Context(), db, workertest.Delivery(sale)); !errors.Is(err, worker.ErrHandledBefore) {
		t.Errorf("afterwards, it says %v", err)
	}
	if after := everything(t, url); after != before {
		t.Errorf("there were\n%s\nand are\n%s", before, after)
	}
}

// A panic is a failure of the message's, in a rehearsal too; and what is emitted is held against its schema.
func TestARehearsalSurvivesItsWorker(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	sale := workertest.Delivery(workertest.Sale(t, "cup", "shop", "1"))
	panics := echoing(&tries{}, func(context.Context, []event.Any) error { panic("no") })
	if err := panics.Rehearse(t.Context(), db, sale); err == nil || !strings.Contains(err.Error(), "panicked: no") {
		t.Errorf("of a panic it says %v", err)
	}
	w := worker.New("echo", worker.On(func(_ context.Context, tx *worker.Tx, e event.Of[event.SaleCompleted]) error {
		return tx.Emit("", 0, event.InventoryLowStock{})
	}))
	if err := w.Rehearse(t.Context(), db, sale); err == nil {
		t.Error("an event that no schema allows passes")
	}
}

// shovel moves a message as RabbitMQ's Shovel does: with all its headers, by the default exchange.
func (h *env) shovel(d rabbitmq.Delivery, queue string) {
	h.Helper()
	m := d.Message
	m.Exchange, m.RoutingKey = "", queue
	h.Send(m)
}

func TestAMovedMessageHasAllItsAttempts(t *testing.T) {
	t.Parallel()
	seen := &tries{}
	sale := workertest.Sale(t, "cup", "shop", "1")
	w := echoing(seen, failing(sale, errors.New("no cup is left")), worker.RetryDelays(retryDelay, 2*retryDelay))
	h := newEnv(t, w)
	h.RunWorker(w, 1)
	h.Publish(sale)
	for life := 1; life <= 3; life++ {
		dead := h.Receive(topology.DeadQueueName("echo"), 1)[0]
		times, _ := dead.Redriven()
		if n := seen.of(sale); n != 3*life || dead.Failure().Attempt != 3 || times != life-1 {
			t.Fatalf("in its life %d it has died after %d tries in all, at attempt %d, come back %d times", life, n, dead.Failure().Attempt, times)
		}
		// It was inspected often.
		dead.Headers["x-delivery-count"] = int64(20)
		h.shovel(dead, topology.QueueName("echo"))
	}
	h.wantEffects(0)
}

func TestWhatAnOperatorMovesIsHandledOnceItCanBe(t *testing.T) {
	t.Parallel()
	events := sales(t, 3)
	fails := make(chan struct{})
	w := echoing(&tries{}, func(context.Context, []event.Any) error {
		select {
		case <-fails:
			return nil
		default:
			return worker.Reject(errors.New("not yet"))
		}
	}, worker.RetryDelays(retryDelay))
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	h.Publish(events...)
	dead := h.Receive(topology.DeadQueueName("echo"), 3)
	close(fails)
	h.shovel(dead[0], topology.QueueName("echo"))
	h.publishByHand(dead[1].Body) // got and published anew, without a header
	h.Send(rabbitmq.RedriveMessage(dead[2], "echo"))
	h.wantEffects(3)
	// Both, and once more: the inbox knows them.
	h.shovel(dead[0], topology.QueueName("echo"))
	h.publishByHand(dead[0].Body)
	h.Eventually("the copies are known", func() bool { return r.Messages("duplicate") == 2 })
	h.wantEffects(3)
	if ids := h.inLog(); !slices.Equal(ids, h.derived(events)) {
		t.Errorf("the log has %v", ids)
	}
}

// inLog are the ids of the log's events, sorted.
func (h *env) inLog() []string {
	h.Helper()
	return strings.Fields(storetest.Value[string](h, h.URL, `SELECT string_agg(event_id::text, ' ' ORDER BY event_id::text) FROM event_log WHERE publish`))
}

// derived are the ids of what the worker named echo says about events, sorted.
func (h *env) derived(events []event.Any) []string {
	var ids []string
	for _, e := range events {
		ids = append(ids, event.DeriveID("echo", e.ID, 0).String())
	}
	slices.Sort(ids)
	return ids
}
