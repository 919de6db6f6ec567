package worker_test

import (
	"testing"

	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
)

func TestTheSameEventTwiceHasOneEffect(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"in one batch": 200, "in two batches": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := echoing(&tries{}, nil, worker.Batch(size, 200))
			h := newEnv(t, w)
			e := sales(t, 2)
			h.Publish(e[0], e[0], e[1], e[0])
			r := h.RunWorker(w, 1)
			h.Eventually("all four are acknowledged", func() bool { return r.Messages("handled")+r.Messages("duplicate") == 4 })
			h.wantEffects(2)
			if r.Messages("handled") != 2 || r.Messages("duplicate") != 2 {
				t.Errorf("want 2 handled and 2 duplicates, got %d and %d", r.Messages("handled"), r.Messages("duplicate"))
			}
		})
	}
}

// Every slot of two processes gets copies of the same 300 events, in the same order.
func TestTheSameEventsInManySlotsAtOnceHaveOneEffect(t *testing.T) {
	t.Parallel()
	const events, copies = 300, 4
	w := echoing(&tries{}, nil, worker.Batch(20, 60))
	h := newEnv(t, w)
	all := sales(t, events)
	for range copies {
		h.Publish(all...)
	}
	one, two := h.RunWorker(w, 2), h.RunWorker(w, 2)
	count := func(outcome string) int { return one.Messages(outcome) + two.Messages(outcome) }
	h.Eventually("all copies are acknowledged", func() bool { return count("handled")+count("duplicate") >= events*copies })
	h.wantEffects(events)
	if count("handled") != events || count("retried")+count("dead") != 0 {
		t.Errorf("want %d handled and nothing retried, got %d, %d retried, %d dead", events, count("handled"), count("retried"), count("dead"))
	}
	if n := storetest.Value[int](t, h.URL, `SELECT count(*) FROM inbox`); n != events {
		t.Errorf("want %d rows in the inbox, got %d", events, n)
	}
}
