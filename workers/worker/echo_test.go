package worker_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// echo is what the tests' handlers do: one event for each that they handle. The
// log then shows what was handled, and how often.
func echo(tx *worker.Tx, e event.Envelope) error {
	return tx.For(e).Emit(e.AggregateID, 0, event.InventoryLowStock{
		ItemID: "cup", LocationID: "shop", Available: event.NewDecimal(0), Threshold: event.NewDecimal(1),
	})
}

// tries remembers the batches a handler was called with.
type tries struct {
	mu      sync.Mutex
	batches [][]uuid.UUID
}

func (s *tries) note(events []event.Any) {
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, ids)
}

// all are the batches so far.
func (s *tries) all() [][]uuid.UUID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

// of counts the calls that brought the event.
func (s *tries) of(e event.Any) int {
	n := 0
	for _, batch := range s.all() {
		if slices.Contains(batch, e.ID) {
			n++
		}
	}
	return n
}

// largest is the size of the largest batch.
func (s *tries) largest() int {
	n := 0
	for _, batch := range s.all() {
		n = max(n, len(batch))
	}
	return n
}

// echoing is a batch worker on sales that notes its tries and asks outcome, if
// there is one, before it echoes.
func echoing(seen *tries, outcome func(ctx context.Context, events []event.Any) error, options ...worker.Option) worker.Worker {
	handle := func(ctx context.Context, tx *worker.Tx, events []event.Any) error {
		seen.note(events)
		for _, e := range events {
			if err := echo(tx, e.Envelope); err != nil {
				return err
			}
		}
		if outcome == nil {
			return nil
		}
		return outcome(ctx, events)
	}
	options = append([]worker.Option{worker.RetryDelays(retryDelay), worker.OnBatch(handle, event.TypeSaleCompleted)}, options...)
	return worker.New("echo", options...)
}

// failing is a outcome on one event alone: the others pass.
func failing(poison event.Any, err error) func(context.Context, []event.Any) error {
	return func(_ context.Context, events []event.Any) error {
		if contains(events, poison) {
			return err
		}
		return nil
	}
}

func contains(events []event.Any, one event.Any) bool {
	return slices.ContainsFunc(events, func(e event.Any) bool { return e.ID == one.ID })
}

func sales(t testing.TB, n int) []event.Any {
	t.Helper()
	events := make([]event.Any, n)
	for i := range events {
		events[i] = workertest.Sale(t, "cup-"+strconv.Itoa(i), "shop", "1")
	}
	return events
}
