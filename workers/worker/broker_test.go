package worker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestConnectionsClosedInTheMiddleLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	const n, times = 3000, 4
	w := echoing(&tries{}, nil, worker.Batch(20, 100))
	h := newEnv(t, w)
	h.Publish(sales(t, n)...)
	r := h.RunWorker(w, 2)
	closed := 0
	for i := range times {
		h.Eventually("some are handled", func() bool { all, _ := h.effects(); return all > i*n/times/2 })
		h.Eventually("a connection is closed", func() bool { closed += h.closeConnections(); return closed > 2*i })
	}
	h.wantEffects(n)
	h.Eventually("the queue is empty", func() bool { return h.Depth(topology.QueueName("echo")) == 0 })
	if burned := r.Messages("retried") + r.Messages("dead"); burned != 0 {
		t.Errorf("want no attempt burned, got %d", burned)
	}
	if !r.Logs.Has("broker session lost") {
		t.Error("no session was lost: the test shows nothing")
	}
	if _, different := h.effects(); different != n {
		t.Errorf("want %d effects, got %d", n, different)
	}
}

func TestADeletedQueueIsLoggedAndComesBack(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, nil)
	h := newEnv(t, w)
	r := h.RunWorker(w, 2)
	h.Publish(sales(t, 1)...)
	h.wantEffects(1)
	h.DeleteQueue(topology.QueueName("echo"))
	h.Eventually("it is logged as an error", func() bool {
		return r.Logs.Has("ERROR the broker has cancelled this consumer")
	})
	h.Eventually("no slot counts as consuming", func() bool { return r.Metric("composerp_worker_slots") == 0 })
	h.Apply(w)
	h.Eventually("both slots consume again", func() bool { return r.Metric("composerp_worker_slots") == 2 })
	h.Publish(sales(t, 1)...)
	h.wantEffects(2)
}

func TestAWorkerWaitsForItsQueue(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, nil)
	h := newEnv(t)
	r := h.StartWorker(w, 1)
	h.Eventually("it says what is missing", func() bool {
		return r.Logs.Has("apply the topology")
	})
	h.Apply(w)
	h.Publish(sales(t, 1)...)
	h.wantEffects(1)
}

// Told to stop, a slot finishes and acknowledges the batch in hand, and gives the rest back.
func TestStoppingFinishesWhatIsInHand(t *testing.T) {
	t.Parallel()
	const n, size = 30, 10
	inHand, finish := make(chan struct{}, n), make(chan struct{})
	seen := &tries{}
	w := echoing(seen, func(ctx context.Context, _ []event.Any) error {
		inHand <- struct{}{}
		select {
		case <-finish:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, worker.Batch(size, n))
	h := newEnv(t, w)
	h.Publish(sales(t, n)...)
	r := h.RunWorker(w, 1)
	workertest.Wait(h, "a batch is in hand", inHand)
	r.Stop()
	close(finish)
	r.End()
	if calls := len(seen.all()); calls != 1 {
		t.Errorf("want one batch and no other begun, got %d", calls)
	}
	done := len(seen.all()[0])
	h.wantEffects(done)
	h.Eventually("the rest is in the queue again", func() bool { return h.Depth(topology.QueueName("echo")) == n-done })
	if r.Messages("handled") != done {
		t.Errorf("want %d handled, got %d", done, r.Messages("handled"))
	}
}

// A session that is lost during the attempt of a suspect message is not a death of the process, neither for it nor for
// its neighbours.
func TestALostSessionMakesNoDeadLetter(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"alone": 1, "with neighbours": 30} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const losses = 5
			events := sales(t, n)
			e := events[n/2]
			seen := &tries{}
			var line *workertest.Link
			lost := 0 // one slot counts
			w := echoing(seen, func(_ context.Context, events []event.Any) error {
				if lost >= losses || !contains(events, e) {
					return nil
				}
				if len(events) == 1 { // a batch is attempted alone first
					lost++
					line.Cut()
				}
				return errors.New("a verdict that cannot be carried out")
			})
			h := newEnv(t, w)
			h.Publish(events...)
			h.deliver(topology.QueueName("echo"), n, 4)
			line = workertest.NewLink(h, h.Broker.URLs[0])
			h.Broker.URLs = []string{line.URL}
			r := h.RunWorker(w, 1)
			h.wantEffects(n)
			if r.Messages("dead") != 0 || seen.of(e) < losses+1 {
				t.Errorf("want the message handled after %d tries, got %d tries, %d dead", losses, seen.of(e), r.Messages("dead"))
			}
			h.Eventually("no suspect is left", func() bool { return storetest.Value[int](t, h.URL, `SELECT count(*) FROM suspect`) == 0 })
		})
	}
}

// deliver has the broker hand out the first n messages of a queue the given number of times, in vain.
func (h *env) deliver(queue string, n, times int) {
	h.Helper()
	for range times {
		consumer, err := h.Session().Consume(queue, "vain", n)
		h.Must(err)
		ctx, cancel := context.WithTimeout(h.Context(), localtest.Deadline(workertest.Timeout))
		for taken := 0; taken < n; {
			some, err := consumer.Take(ctx, n)
			h.Must(err)
			taken += len(some)
		}
		cancel()
		h.Must(consumer.Close())
	}
}
