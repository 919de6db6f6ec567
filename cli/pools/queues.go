package pools

import (
	"context"
	"errors"
	"slices"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker"
)

// queuesKnown is what the broker knows: its own counts, which are exact, and the rates of its statistics.
type queuesKnown struct {
	known     bool
	ready     map[string]int
	consumers map[string]int
	rates     bool
	states    map[string]topology.QueueState
	sets      []lanes.Set
}

// lanesOf are the queues of a worker's lanes, those that are being emptied too.
func (k queuesKnown) lanesOf(w worker.Worker) (queues []string) {
	s := lanes.Of(k.sets, w.Name())
	counts := []int{s.Routed, s.Consumed}
	slices.Sort(counts)
	for _, n := range slices.Compact(counts) {
		for _, q := range topology.LaneQueues(w.Name(), n) {
			queues = append(queues, q.Name)
		}
	}
	return queues
}

// readQueues asks the broker.
func readQueues(session *rabbitmq.Session, sets []lanes.Set) (k queuesKnown, err error) {
	k.sets, k.ready, k.consumers = sets, map[string]int{}, map[string]int{}
	for _, w := range workers.Fleet(workers.Config{}) {
		for _, queue := range append(queuesOf(w), k.lanesOf(w)...) {
			ready, consumers, err := session.Depth(queue)
			if errors.Is(err, rabbitmq.ErrMissing) && queue != w.Queue() && topology.IsLane(queue) {
				continue // its lanes were switched just now
			}
			if err != nil {
				return queuesKnown{}, err
			}
			k.ready[queue], k.consumers[queue] = ready, consumers
		}
	}
	k.known = true
	return k, nil
}

// readRates asks the management API, where its URL is known.
func (k *queuesKnown) readRates(ctx context.Context, at settings.Endpoints, broker rabbitmq.Config) error {
	management, err := settings.ManagementClient(at)
	if err != nil || management == nil {
		return err
	}
	vhost, err := broker.Vhost()
	if err != nil {
		return err
	}
	k.states, err = management.Queues(ctx, vhost)
	k.rates = err == nil
	return err
}

// queuesOf are a worker's queue and, where it is its own, its retry queues and its dead letters.
func queuesOf(w worker.Worker) []string {
	queues := []string{w.Queue()}
	if w.Queue() != topology.QueueName(w.Name()) {
		return queues
	}
	queues = append(queues, topology.DeadQueueName(w.Name()))
	for _, delay := range w.Subscription().RetryDelays {
		queues = append(queues, topology.RetryQueueName(w.Name(), delay))
	}
	return queues
}

func (k queuesKnown) fill(r *Queue) {
	if !k.known {
		return
	}
	ready, consumers := k.ready[r.Queue], k.consumers[r.Queue]
	r.Ready, r.Consumers = &ready, &consumers
	counted := []string{r.Queue}
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.Name() != r.Worker {
			continue
		}
		if inLanes := k.lanesOf(w); len(inLanes) > 0 {
			r.Consumers = nil // lanes have theirs, whatever the slots are
			for _, lane := range inLanes {
				ready += k.ready[lane]
			}
			counted = append(counted, inLanes...)
		}
		queues := queuesOf(w)
		if len(queues) == 1 {
			continue
		}
		dead, retrying := k.ready[queues[1]], 0
		for _, queue := range queues[2:] {
			retrying += k.ready[queue]
		}
		r.Dead, r.Retrying = &dead, &retrying
	}
	unacked, in, acked, known := 0, 0.0, 0.0, true
	for _, queue := range counted {
		state, found := k.states[queue]
		known = known && found && state.Counted
		unacked, in, acked = unacked+int(state.Unacked), in+state.InRate, acked+state.AckRate
	}
	if known {
		r.Unacked, r.In, r.Acked = &unacked, &in, &acked
	}
}
