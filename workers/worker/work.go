package worker

import (
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/workers/worker/curve"
)

// Work is what a worker's slots have done in this process since it began: all of it only grows, so that the difference
// of two readings is what was done between them.
type Work struct {
	Acked    int64 // messages acknowledged: handled, sent to a retry queue, dead
	Returned int64 // of them, messages that had come out of a retry queue
	Retried  int64 // of them, messages that failed and were sent to a retry queue
	Deferred int64 // of them, messages that were sent there because their dependency was away
	// Batches fits what acknowledged batches took.
	Batches curve.Curve
	// Busy is for how many seconds slots have had batches in hand, added up, those of now included.
	Busy float64
}

// works counts what the slots of a runner do.
type works struct {
	mu        sync.Mutex
	done      Work
	handling  int         // messages
	batches   int         // in hand
	began     float64     // when these began, added up: seconds since since
	since     time.Time   // the first batch
	recent    curve.Curve // of batches; older ones have less weight
	consumers map[*rabbitmq.Consumer]struct{}
}

// opened counts what a consumer holds, until closed is called.
func (w *works) opened(c *rabbitmq.Consumer) (closed func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.consumers == nil {
		w.consumers = map[*rabbitmq.Consumer]struct{}{}
	}
	w.consumers[c] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.consumers, c)
	}
}

// begun counts a batch that is in hand; ended tells whether it was acknowledged.
func (w *works) begun(batch []rabbitmq.Delivery) (ended func(acked bool)) {
	n, began := len(batch), time.Now()
	w.mu.Lock()
	if w.since.IsZero() {
		w.since = began
	}
	at := began.Sub(w.since).Seconds()
	w.began, w.batches, w.handling = w.began+at, w.batches+1, w.handling+n
	w.mu.Unlock()
	return func(acked bool) {
		seconds := time.Since(began).Seconds()
		w.count(func(done *Work) {
			w.began, w.batches, w.handling = w.began-at, w.batches-1, w.handling-n
			done.Busy += seconds
			if !acked {
				return
			}
			done.Acked += int64(n)
			for _, d := range batch {
				if _, returned := d.Headers["x-death"]; returned {
					done.Returned++
				}
			}
			w.recent.Scale(fade)
			w.recent.Add(n, seconds)
			done.Batches.Add(n, seconds)
		})
	}
}

// fade is what the batches before one count beside it: a rate is that of the last ten or so.
const fade = 0.9

// rate is how many messages a slot handles a second in full batches; 0 before the first batch.
func (w *works) rate(batch int) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.recent.Rate(batch)
}

func (w *works) retried() { w.count(func(done *Work) { done.Retried++ }) }

func (w *works) deferred() { w.count(func(done *Work) { done.Deferred++ }) }

func (w *works) count(count func(*Work)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	count(&w.done)
}

// Work reads what was done, and how many messages the slots hold now: prefetched or in a batch.
func (r *Runner) Work() (done Work, held int) {
	r.works.mu.Lock()
	defer r.works.mu.Unlock()
	held = r.works.handling
	for c := range r.works.consumers {
		held += c.Waiting()
	}
	done = r.works.done
	if n := r.works.batches; n > 0 {
		done.Busy += float64(n)*time.Since(r.works.since).Seconds() - r.works.began
	}
	return done, held
}
