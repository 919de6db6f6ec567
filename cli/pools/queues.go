package pools

import (
	"context"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
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
}

// readQueues asks the broker.
func readQueues(session *rabbitmq.Session) (k queuesKnown, err error) {
	k.ready, k.consumers = map[string]int{}, map[string]int{}
	for _, w := range workers.Fleet(workers.Config{}) {
		for _, queue := range queuesOf(w) {
			if k.ready[queue], k.consumers[queue], err = session.Depth(queue); err != nil {
				return queuesKnown{}, err
			}
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
	for _, w := range workers.Fleet(workers.Config{}) {
		queues := queuesOf(w)
		if w.Name() != r.Worker || len(queues) == 1 {
			continue
		}
		dead, retrying := k.ready[queues[1]], 0
		for _, queue := range queues[2:] {
			retrying += k.ready[queue]
		}
		r.Dead, r.Retrying = &dead, &retrying
	}
	if state, found := k.states[r.Queue]; found && state.Counted {
		unacked := int(state.Unacked)
		r.Unacked, r.In, r.Acked = &unacked, &state.InRate, &state.AckRate
	}
}
