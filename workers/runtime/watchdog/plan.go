package watchdog

import (
	"slices"

	"github.com/composerp/composerp/exchange/topology"
)

// Plan is what the fleet should look like.
type Plan struct {
	Topology topology.Topology
	Workers  []Worker
}

// Worker is a worker of the fleet, as the broker knows it.
type Worker struct {
	Name        string
	Queue       string   // what it drains
	RetryQueues []string // its ladder's queues
	Exchanges   []string // the exchanges through which it hears
	Local       bool     // it runs in this process: then its queue has a consumer
	Intake      bool     // it logs what came straight over AMQP
}

// NewPlan gives the plan of a fleet with these subscriptions. here names the workers that run in this process.
func NewPlan(subs []topology.Subscription, here []string) Plan {
	plan := Plan{Topology: topology.Compute(subs)}
	for _, sub := range subs {
		w := Worker{Name: sub.Worker, Queue: sub.Queue, Local: slices.Contains(here, sub.Worker), Intake: sub.ExternalOnly, Exchanges: []string{topology.Events}}
		if sub.ExternalOnly {
			w.Exchanges = append(w.Exchanges, topology.FilterName(sub.Worker), topology.ExternalName(sub.Worker))
		}
		if w.Queue == "" {
			w.Queue = topology.QueueName(sub.Worker)
			for _, d := range sub.RetryDelays {
				w.RetryQueues = append(w.RetryQueues, topology.RetryQueueName(sub.Worker, d))
			}
		}
		plan.Workers = append(plan.Workers, w)
	}
	return plan
}

// Lacking gives the workers who may lose something while this is missing: only what is said meanwhile (false), or also
// what was in their queue or on their ladder (true).
//
// A queue that is there, and is not bound to composerp.retry by its own name, is not the queue that was: somebody has
// deleted it, and another declared it.
func (p Plan) Affected(missing topology.Topology) map[string]bool {
	lacking := map[string]bool{}
	retryIsThere := !slices.ContainsFunc(missing.Exchanges, func(e topology.ExchangeSpec) bool { return e.Name == topology.Retry })
	for _, w := range p.Workers {
		its := func(queue string) bool { return queue == w.Queue || slices.Contains(w.RetryQueues, queue) }
		hears := func(b topology.BindingSpec) bool {
			return slices.Contains(w.Exchanges, b.Exchange) && (its(b.Queue) || slices.Contains(w.Exchanges, b.To))
		}
		tries := func(b topology.BindingSpec) bool { return b.Exchange == topology.Retry && its(b.Queue) }
		if slices.ContainsFunc(missing.Bindings, hears) {
			lacking[w.Name] = false
		}
		if retryIsThere && slices.ContainsFunc(missing.Bindings, tries) ||
			slices.ContainsFunc(missing.Queues, func(q topology.QueueSpec) bool { return its(q.Name) }) {
			lacking[w.Name] = true
		}
	}
	return lacking
}

// bound says whether somebody is bound for events with that routing key.
func (p Plan) bound(key string) bool {
	return slices.ContainsFunc(p.Topology.Bindings, func(b topology.BindingSpec) bool {
		return b.Exchange == topology.Events && b.RoutingKey == key
	})
}

// graves are the queues of dead letters whose letters are gone, or have gone elsewhere, while this is missing.
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
