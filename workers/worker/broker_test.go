package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestConnectionsClosedInTheMiddleLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	const n, times = 3000, 4
	w := echoing(&tries{}, nil, worker.Batch(20, 100))
	h := newHouse(t, w)
	h.publish(sales(t, n)...)
	r := h.run(w, 2)
	closed := 0
	for i := range times {
		h.soon("some are handled", func() bool { all, _ := h.effects(); return all > i*n/times/2 })
		h.soon("a connection is closed", func() bool { closed += h.hangUp(); return closed > 2*i })
	}
	h.wantEffects(n)
	h.soon("the queue is empty", func() bool { return h.depth(exchange.QueueName("echo")) == 0 })
	if burned := r.messages("retried") + r.messages("dead"); burned != 0 {
		t.Errorf("want no attempt burned, got %d", burned)
	}
	if !r.log.has(func(line string) bool { return strings.Contains(line, "session with the broker ends") }) {
		t.Error("no session was lost: the test shows nothing")
	}
	if _, different := h.effects(); different != n {
		t.Errorf("want %d effects, got %d", n, different)
	}
}

func TestADeletedQueueIsSaidLoudlyAndComesBack(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, nil)
	h := newHouse(t, w)
	r := h.run(w, 2)
	h.publish(sales(t, 1)...)
	h.wantEffects(1)
	h.deleteQueue(exchange.QueueName("echo"))
	h.soon("it is said loudly", func() bool {
		return r.log.has(func(line string) bool { return strings.HasPrefix(line, "ERROR the broker has cancelled this consumer") })
	})
	h.soon("no slot is said to consume", func() bool { return r.metric("composerp_worker_slots", "") == 0 })
	h.apply(w)
	h.soon("both slots consume again", func() bool { return r.metric("composerp_worker_slots", "") == 2 })
	h.publish(sales(t, 1)...)
	h.wantEffects(2)
}

func TestAWorkerWaitsForItsQueue(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, nil)
	h := newHouse(t)
	r := h.start(w, 1)
	h.soon("it says what is missing", func() bool {
		return r.log.has(func(line string) bool { return strings.Contains(line, "apply the topology") })
	})
	h.apply(w)
	h.publish(sales(t, 1)...)
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
	h := newHouse(t, w)
	h.publish(sales(t, n)...)
	r := h.run(w, 1)
	within(h, "a batch is in hand", inHand)
	r.stop()
	close(finish)
	r.end()
	if calls := len(seen.all()); calls != 1 {
		t.Errorf("want one batch and no other begun, got %d", calls)
	}
	done := len(seen.all()[0])
	h.wantEffects(done)
	h.soon("the rest is in the queue again", func() bool { return h.depth(exchange.QueueName("echo")) == n-done })
	if r.messages("handled") != done {
		t.Errorf("want %d handled, got %d", done, r.messages("handled"))
	}
}

// A session that is lost during a careful try is not a death of the process.
func TestALostSessionCondemnsNobody(t *testing.T) {
	t.Parallel()
	const losses = 5
	e := workertest.Sale(t, "cup", "shop", "1")
	seen := &tries{}
	var line *gate
	w := echoing(seen, func(context.Context, []event.Any) error {
		if seen.of(e) <= losses {
			line.Cut()
			return errors.New("a verdict that cannot be carried out")
		}
		return nil
	})
	h := newHouse(t, w)
	h.publish(e)
	h.deliver(exchange.QueueName("echo"), 1, 4)
	line = newGate(h, h.broker.URLs[0])
	h.broker.URLs = []string{line.url}
	r := h.run(w, 1)
	h.wantEffects(1)
	if r.messages("dead") != 0 || seen.of(e) != losses+1 {
		t.Errorf("want the message handled at its try %d, got %d tries, %d dead", losses+1, seen.of(e), r.messages("dead"))
	}
	h.soon("no suspect is left", func() bool { return storetest.Value[int](t, h.url, `SELECT count(*) FROM suspect`) == 0 })
}

// deliver has the broker hand out the first n messages of a queue so many times, in vain.
func (h *house) deliver(queue string, n, times int) {
	h.Helper()
	for range times {
		consumer, err := h.session.Consume(queue, "vain", n)
		h.must(err)
		ctx, cancel := context.WithTimeout(h.Context(), localtest.Deadline(patience))
		for taken := 0; taken < n; {
			some, err := consumer.Take(ctx, n)
			h.must(err)
			taken += len(some)
		}
		cancel()
		h.must(consumer.Close())
	}
}
