package audit

import (
	"context"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/eventlog"
)

// role is what a queue is for, which decides what may be in it.
type role int

const (
	working       role = iota // a worker's queue or retry queue: empty at rest
	unrouted                  // empty, or a binding is missing
	deadLetterLog             // empty once the dead letters are recorded
	dead                      // holds a worker's dead letters until they are redriven or discarded
)

// queue is one of the fleet's queues in a snapshot.
type queue struct {
	name      string
	role      role
	worker    string // the worker whose dead letters it holds
	ready     int
	consumers int
	missing   bool
	// From the management API, and only where known.
	unacked, stuck int64
	held           int64 // ready and unacknowledged, both of one moment
	known          bool
}

// snapshot is the state of the fleet at one moment.
type snapshot struct {
	at     time.Time
	log    eventlog.State
	queues []queue
	unseen error // why the management API has no figures
}

// observe takes the log first and the queues after it: an event that leaves the log is in a queue before it is
// handled, and is seen in one of the two.
func (a *auditor) observe(ctx context.Context, since string) (snapshot, error) {
	at := snapshot{at: time.Now()}
	var err error
	if at.log, err = eventlog.ReadState(ctx, a.DB, since); err != nil {
		return at, err
	}
	seen := a.observer.ObserveQueues(ctx)
	if seen.Broker != nil {
		return at, seen.Broker
	}
	at.unseen = seen.Unseen
	roles := rolesOf(a.Topology)
	for _, spec := range a.Topology.Queues {
		q := roles[spec.Name]
		q.name = spec.Name
		state := seen.Queues[spec.Name]
		sampled, exists := seen.Sampled[spec.Name]
		if q.missing = !exists; exists {
			q.ready, q.consumers = int(state.Ready), state.Consumers
		} else {
			sampled = state.Ready
		}
		if seen.Reported[spec.Name] {
			q.unacked, q.stuck, q.held, q.known = state.Unacked, state.MessagesDLX, sampled+state.Unacked, true
		}
		at.queues = append(at.queues, q)
	}
	return at, nil
}

// rolesOf reads from the topology what each queue is for.
func rolesOf(t topology.Topology) map[string]queue {
	roles := map[string]queue{topology.Unrouted: {role: unrouted}, topology.DeadLetterLog: {role: deadLetterLog}}
	for _, b := range t.Bindings {
		if b.Exchange == topology.Dead && b.Queue != topology.DeadLetterLog {
			roles[b.Queue] = queue{role: dead, worker: strings.TrimPrefix(b.RoutingKey, topology.QueueName(""))}
		}
	}
	return roles
}

// calm tells whether the fleet is at rest. What is stuck may still be delivered, so it is waited for as well, until
// it is late.
func (l snapshot) calm(late bool) bool {
	if l.log.Unpublished > 0 || l.log.Moved > 0 || l.log.DueForecasts > 0 {
		return false
	}
	for _, q := range l.queues {
		if q.moving() || q.stuck > 0 && !late {
			return false
		}
	}
	return true
}

// moving tells whether the queue holds messages that a worker will handle.
func (q queue) moving() bool {
	return (q.role == working || q.role == deadLetterLog) && (q.ready > 0 || q.unacked > 0)
}

// String says what is waited for.
func (l snapshot) String() string {
	var waits []string
	if l.log.Unpublished > 0 {
		waits = append(waits, wording.Thousands(l.log.Unpublished)+" to publish")
	}
	if l.log.DueForecasts > 0 {
		waits = append(waits, wording.Count(l.log.DueForecasts, "run")+" of forecasts")
	}
	for _, q := range l.queues {
		if q.moving() || q.stuck > 0 {
			waits = append(waits, q.String())
		}
	}
	switch {
	case len(waits) > 0:
		return "waiting for the fleet: " + strings.Join(waits, ", ")
	case l.log.Moved > 0:
		return "waiting for the fleet: new events"
	}
	return "the fleet is quiet; making sure that it stays so"
}

// String names the queue and what is in it.
func (q queue) String() string {
	text := q.name
	if q.ready > 0 {
		text += " " + wording.Thousands(int64(q.ready)) + " ready"
	}
	if q.unacked > 0 {
		text += " " + wording.Thousands(q.unacked) + " in hand"
	}
	if q.stuck > 0 {
		text += " " + wording.Thousands(q.stuck) + " stuck"
	}
	return text
}
