package watchdog

import (
	"time"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/observer"
)

// memory are the points of the log before which nothing was lost, by consumer: where only a binding is missing, and where
// the queue itself is.
type history struct {
	plan   Plan
	age    time.Duration // how old figures may be
	recent []moment      // the newest that is older than that, and all after it
	bound  map[string]eventlog.Position
	empty  map[string]eventlog.Position
	// filled is when events from long ago were last published to a queue: figures from before tell nothing of these.
	refilled map[string]time.Time
}

// moment is what the relay had passed at a look.
type moment struct {
	at        time.Time
	confirmed eventlog.Position
}

func newHistory(plan Plan, age time.Duration) *history {
	return &history{plan: plan, age: age, bound: map[string]eventlog.Position{}, empty: map[string]eventlog.Position{}, refilled: map[string]time.Time{}}
}

// see remembers what a look proves.
func (m *history) record(now observer.Snapshot) {
	if now.Database != nil {
		return
	}
	m.recent = append(m.recent, moment{now.At, now.Log.Confirmed})
	for len(m.recent) > 1 && now.At.Sub(m.recent[1].at) >= m.age {
		m.recent = m.recent[1:]
	}
	lacking := m.plan.Affected(m.plan.Topology.Missing(now.Have))
	for _, w := range m.plan.Workers {
		if _, lacks := lacking[w.Name]; now.Seen && !lacks {
			m.bound[w.Name] = now.Log.Confirmed
		}
		// The figures of now are of a moment after the oldest of the recent: whatever had been passed then has left the queue.
		// A broker that is short of breath may be later with its figures than it should; what is ready it tells exactly.
		oldest := m.recent[0]
		if now.Figures && now.Exact && now.At.Sub(oldest.at) >= m.age && oldest.at.After(m.refilled[w.Name]) && isEmpty(now, w) {
			m.empty[w.Name] = oldest.confirmed
		}
	}
}

// fill says that events from long ago have been published to the consumer's queue.
func (m *history) refill(consumer string, at time.Time) {
	delete(m.empty, consumer)
	m.refilled[consumer] = at
}

// gaps gives the consumers for whom something may be lost when this is missing, and since which point: the zero one
// where nothing is known.
func (m *history) gaps(missing topology.Topology) map[string]eventlog.Position {
	lost := map[string]eventlog.Position{}
	for name, queue := range m.plan.Affected(missing) {
		if lost[name] = m.bound[name]; queue {
			lost[name] = m.empty[name]
		}
	}
	return lost
}

// isEmpty tells whether nothing was in the worker's queue, in its hand, or on its ladder.
func isEmpty(now observer.Snapshot, w Worker) bool {
	for _, name := range append([]string{w.Queue}, w.RetryQueues...) {
		q := now.Queues[name]
		if !q.Counted || q.Ready+now.Sampled[name]+q.Unacked+q.MessagesDLX > 0 {
			return false
		}
		if _, exact := now.Sampled[name]; now.Exact && !exact {
			return false // it has just gone
		}
	}
	return true
}
