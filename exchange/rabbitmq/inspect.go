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
	asking := passive{session: s}
	defer asking.close()
	there := map[string]bool{}
	for _, e := range t.Exchanges {
		found, err := asking.ask(func(ch *amqp.Channel) error {
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
		found, err := asking.ask(func(ch *amqp.Channel) (err error) {
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

// passive declares one thing after the other passively; a missing one costs the channel, and the next gets a new one.
type passive struct {
	session *Session
	channel *amqp.Channel
}

func (p *passive) ask(on func(*amqp.Channel) error) (found bool, err error) {
	if p.channel == nil || p.channel.IsClosed() {
		if p.channel, err = p.session.consuming.Channel(); err != nil {
			return false, explain(err)
		}
	}
	err = explain(on(p.channel))
	if errors.Is(err, ErrMissing) {
		return false, nil
	}
	return err == nil, err
}

func (p *passive) close() {
	if p.channel != nil {
		_ = p.channel.Close()
	}
}
