package rabbitmq

import (
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/topology"
)

// InspectTopology asks the broker over AMQP, not its management API, which part of a topology it has, and the state of
// its queues. AMQP cannot query bindings: one whose ends both exist counts as present. Of a queue's state only Ready
// and Consumers are known, and these are exact.
func (s *Session) InspectTopology(t topology.Topology) (have topology.Topology, states []topology.QueueState, err error) {
	asking := &spareChannel{link: s.consuming}
	defer asking.close()
	there := map[string]bool{}
	for _, e := range t.Exchanges {
		found, err := exists(asking, func(ch *amqp.Channel) error {
			return ch.ExchangeDeclarePassive(e.Name, e.Kind, true, false, false, false, nil)
		})
		if err != nil {
			return have, nil, fmt.Errorf("inspecting exchange %s: %w", e.Name, err)
		}
		if found {
			have.Exchanges, there["exchange "+e.Name] = append(have.Exchanges, e), true
		}
	}
	for _, q := range t.Queues {
		var state amqp.Queue
		found, err := exists(asking, func(ch *amqp.Channel) (err error) {
			state, err = ch.QueueDeclarePassive(q.Name, true, false, false, false, nil)
			return err
		})
		if err != nil {
			return have, nil, fmt.Errorf("inspecting queue %s: %w", q.Name, err)
		}
		if found {
			have.Queues, there["queue "+q.Name] = append(have.Queues, q), true
			states = append(states, topology.QueueState{Name: q.Name, Ready: int64(state.Messages), Consumers: state.Consumers, Counted: true})
		}
	}
	for _, b := range t.Bindings {
		if there["exchange "+b.Exchange] && (there["queue "+b.Queue] || there["exchange "+b.To]) {
			have.Bindings = append(have.Bindings, b)
		}
	}
	return have, states, nil
}

// exists makes a passive declaration and reports whether the broker has the thing.
func exists(asking *spareChannel, declare func(*amqp.Channel) error) (bool, error) {
	err := explain(asking.call(declare))
	if errors.Is(err, ErrMissing) {
		return false, nil
	}
	return err == nil, err
}
