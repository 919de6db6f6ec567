package worker

import (
	"context"
	"errors"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/lanes"
)

// mine tells whether this slot may handle an event: the lane is reckoned from the event, whatever its header says.
func (l *laneSlot) mine(e event.Any) bool {
	if l.own.Number == lanes.Entrance {
		return l.lanes == 0
	}
	return topology.LaneValue(e.TenantID, e.AggregateID)%l.lanes == l.own.Number
}

// sort puts messages that belong into another lane there, and gives the others.
func (s *slot) sort(ctx context.Context, messages []message) (mine []message, err error) {
	if s.lane == nil {
		return messages, nil
	}
	var others []message
	for _, m := range messages {
		if s.lane.mine(m.event) {
			mine = append(mine, m)
		} else {
			others = append(others, m)
		}
	}
	return mine, s.sendOn(ctx, others)
}

// sendOn puts messages into their lanes. Those of one lane are confirmed one after the other, so that none overtakes
// one before it that the broker refused at first.
func (s *slot) sendOn(ctx context.Context, messages []message) error {
	if len(messages) == 0 {
		return nil
	}
	err := s.whileUnserved(ctx, func() error { // an owner whose lane was taken sends nothing more
		_, err := s.processor.inTx(ctx, event.Envelope{}, func(*Tx) (int, error) { return 0, nil })
		return err
	})
	if err != nil {
		return err
	}
	back := 0
	for len(messages) > 0 {
		copies, seen := []rabbitmq.Message{}, map[string]bool{}
		for _, m := range messages {
			header := topology.LaneHeader(m.event.TenantID, m.event.AggregateID)
			if seen[header] {
				break
			}
			seen[header] = true
			if m.Headers[topology.HeaderLane] == header && m.Attempt() == 0 && m.OwnUser && s.lane.own.Number == lanes.Entrance {
				back++
			}
			again := rabbitmq.RerouteMessage(m.Delivery)
			again.Exchange, again.RoutingKey = topology.LanesName(s.Worker.name), m.RoutingKey
			again.Headers[topology.HeaderLane] = header
			copies = append(copies, again)
		}
		if err := s.publishTogether(ctx, copies); err != nil {
			return err
		}
		messages = messages[len(copies):]
	}
	if back > 0 {
		s.Log.Warn(logSentBack, "queue", s.queue, "messages", back)
		s.pause(ctx, laneWait)
	}
	return nil
}

// publishTogether publishes messages and waits for all confirms; what the broker refuses is published again.
func (s *slot) publishTogether(ctx context.Context, messages []rabbitmq.Message) error {
	confirmations := make([]*rabbitmq.Confirmation, len(messages))
	for i, m := range messages {
		var err error
		if confirmations[i], err = s.publisher.Publish(ctx, m); err != nil {
			return err
		}
	}
	for i, c := range confirmations {
		err := c.Wait(ctx)
		if errors.Is(err, rabbitmq.ErrNacked) || errors.Is(err, rabbitmq.ErrUnroutable) {
			err = s.publishCopy(ctx, messages[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
