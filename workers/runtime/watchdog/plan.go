package watchdog

import (
	"slices"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/stream"
	"github.com/composerp/composerp/store/versions"
)

// Plan is the topology and the workers that the fleet should have.
type Plan struct {
	Topology topology.Topology
	Workers  []Worker

	subscriptions []topology.Subscription
	here          []string
	stream        stream.Setting
	versions      []versions.State
}

// Worker is a worker of the fleet as the broker sees it.
type Worker struct {
	Name        string
	Queue       string   // that it consumes
	RetryQueues []string // their names
	Exchanges   []string // that lead to its queue
	Local       bool     // it runs in this process, so its queue has a consumer
	Intake      bool     // it logs events that came straight over AMQP
	Lanes       []string // the queues of its lanes, those that are being emptied too
	Waits       bool     // its queue is not consumed for now: old lanes are being emptied
	Rests       bool     // it is to run no slots: it is paused, or scaled to none
}

// NewPlan gives the plan of a fleet with these subscriptions. here names the workers that run in this process.
func NewPlan(subs []topology.Subscription, here []string) Plan {
	plan := Plan{Topology: topology.Compute(subs), subscriptions: subs, here: here}
	for _, sub := range subs {
		w := Worker{Name: sub.Worker, Queue: sub.Queue, Local: slices.Contains(here, sub.Worker), Intake: sub.ExternalOnly, Exchanges: []string{topology.Events}}
		if len(sub.From) > 0 {
			w.Exchanges = append(w.Exchanges, topology.EventsV1)
		}
		if sub.ExternalOnly {
			w.Exchanges = append(w.Exchanges, topology.FilterName(sub.Worker), topology.ExternalName(sub.Worker))
		}
		if w.Queue == "" {
			w.Queue = topology.QueueName(sub.Worker)
			for _, d := range sub.RetryDelays {
				w.RetryQueues = append(w.RetryQueues, topology.RetryQueueName(sub.Worker, d))
			}
		}
		if sub.Ordered {
			w.Exchanges = append(w.Exchanges, topology.LanesName(sub.Worker), topology.UnlanedName(sub.Worker))
			w.Waits = sub.Lanes.Consumed > 0 && sub.Lanes.Routed == 0
			for _, lanes := range []int{sub.Lanes.Routed, sub.Lanes.Consumed} {
				for _, q := range topology.LaneQueues(sub.Worker, lanes) {
					w.Lanes = append(w.Lanes, q.Name)
				}
			}
		}
		plan.Workers = append(plan.Workers, w)
	}
	return plan
}

// WithLanes is the plan of the same fleet with the lanes that its queues have now.
func (p Plan) WithLanes(sets []lanes.Set) Plan {
	return NewPlan(versions.Bound(p.versions, lanes.Divided(sets, p.subscriptions)), p.here).with(p.stream, p.versions)
}

// WithVersions is the plan of the same fleet, with the stages of the types that have two versions.
func (p Plan) WithVersions(states []versions.State) Plan {
	return NewPlan(versions.Bound(states, p.subscriptions), p.here).with(p.stream, states)
}

func (p Plan) with(s stream.Setting, states []versions.State) Plan {
	p.stream, p.versions = s, states
	p.Topology = versions.AddTo(states, s.AddTo(topology.Compute(p.subscriptions)))
	return p
}

// WithStream is the plan of the same fleet, with the stream where it is on.
func (p Plan) WithStream(s stream.Setting) Plan {
	return p.with(s, p.versions)
}

// WithResting is the plan of the same fleet; these workers are to run no slots.
func (p Plan) WithResting(rests func(worker string) bool) Plan {
	p.Workers = slices.Clone(p.Workers)
	for i := range p.Workers {
		p.Workers[i].Rests = rests(p.Workers[i].Name)
	}
	return p
}

// Affected gives the workers that may lose events while this is missing: only events published meanwhile (false), or
// also what was in their queue and retry queues (true).
//
// A queue that exists and is not bound to composerp.retry by its own name was deleted and declared again, and is
// empty.
func (p Plan) Affected(missing topology.Topology) map[string]bool {
	affected := map[string]bool{}
	retryIsThere := !slices.ContainsFunc(missing.Exchanges, func(e topology.ExchangeSpec) bool { return e.Name == topology.Retry })
	for _, w := range p.Workers {
		its := func(queue string) bool {
			return queue == w.Queue || slices.Contains(w.RetryQueues, queue) || slices.Contains(w.Lanes, queue)
		}
		listens := func(b topology.BindingSpec) bool {
			return slices.Contains(w.Exchanges, b.Exchange) && (its(b.Queue) || slices.Contains(w.Exchanges, b.To))
		}
		retries := func(b topology.BindingSpec) bool { return b.Exchange == topology.Retry && its(b.Queue) }
		if slices.ContainsFunc(missing.Bindings, listens) {
			affected[w.Name] = false
		}
		if retryIsThere && slices.ContainsFunc(missing.Bindings, retries) ||
			slices.ContainsFunc(missing.Queues, func(q topology.QueueSpec) bool { return its(q.Name) }) {
			affected[w.Name] = true
		}
	}
	return affected
}

// missingDeadQueues are the queues of dead letters that are missing, or that dead letters do not reach.
func (p Plan) missingDeadQueues(missing topology.Topology) (queues []string) {
	for _, w := range p.Workers {
		dead := topology.DeadQueueName(w.Name)
		if slices.ContainsFunc(missing.Queues, func(q topology.QueueSpec) bool { return q.Name == dead }) ||
			slices.ContainsFunc(missing.Bindings, func(b topology.BindingSpec) bool { return b.Queue == dead }) {
			queues = append(queues, dead)
		}
	}
	return queues
}
