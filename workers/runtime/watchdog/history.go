package watchdog

import (
	"time"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/observer"
)

// history has, by consumer, the positions of the log before which nothing was lost: bound where only a binding is
// missing, empty where the queue itself is.
type history struct {
	plan   Plan
	age    time.Duration // that the management API's figures may have
	recent []moment      // the newest that is older than age, and all after it
	bound  map[string]eventlog.Position
	empty  map[string]eventlog.Position
	// refilled is when old events were last republished to a queue: figures from before that do not count them.
	refilled map[string]time.Time
}

// moment is the position that the relay had passed at a snapshot.
type moment struct {
	at        time.Time
	confirmed eventlog.Position
}

func newHistory(plan Plan, age time.Duration) *history {
	return &history{plan: plan, age: age, bound: map[string]eventlog.Position{}, empty: map[string]eventlog.Position{}, refilled: map[string]time.Time{}}
}

// record remembers what a snapshot proves.
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
		// The figures are younger than the oldest of the recent moments, so what the relay had passed by then has
		// left the queue. An overloaded broker may be later with its figures than it should; the exact depth of the
		// queue shows that.
		oldest := m.recent[0]
		if now.Figures && now.Exact && now.At.Sub(oldest.at) >= m.age && oldest.at.After(m.refilled[w.Name]) && isEmpty(now, w) {
			m.empty[w.Name] = oldest.confirmed
		}
	}
}

// refill notes that old events have been republished to the consumer's queue.
func (m *history) refill(consumer string, at time.Time) {
	delete(m.empty, consumer)
	m.refilled[consumer] = at
}

// gaps gives the consumers that may lose events while this is missing, and since which position: the zero one where
// nothing is known.
func (m *history) gaps(missing topology.Topology) map[string]eventlog.Position {
	lost := map[string]eventlog.Position{}
	for name, queue := range m.plan.Affected(missing) {
		if lost[name] = m.bound[name]; queue {
			lost[name] = m.empty[name]
		}
	}
	return lost
}

// isEmpty tells whether the worker's queue and retry queues hold nothing, ready or unacknowledged.
func isEmpty(now observer.Snapshot, w Worker) bool {
	for _, name := range append([]string{w.Queue}, w.RetryQueues...) {
		q := now.Queues[name]
		if !q.Counted || q.Ready+now.Sampled[name]+q.Unacked+q.MessagesDLX > 0 {
			return false
		}
		if _, exact := now.Sampled[name]; now.Exact && !exact {
			return false // the queue has just disappeared
		}
	}
	return true
}
