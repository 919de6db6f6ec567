package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/replay"
	"github.com/composerp/composerp/workers/runtime/pipeline"
)

// toBroker publishes to a worker's queue or to an exchange.
func (r *run) toBroker(ctx context.Context) error {
	session, err := rabbitmq.Open(ctx, r.Broker)
	if err != nil {
		return err
	}
	defer session.Close()
	publisher, err := session.Publisher(window)
	if err != nil {
		return err
	}
	return pipeline.Steps[page]{
		Read: r.read,
		Publish: func(ctx context.Context, p page) (pipeline.InFlight, error) {
			return r.publish(ctx, publisher, p)
		},
		Confirm: r.confirm,
	}.Run(ctx)
}

func (r *run) publish(ctx context.Context, publisher *rabbitmq.Publisher, p page) (pipeline.InFlight, error) {
	sent, err := pipeline.Publish(ctx, publisher, len(p.events), func(i int) (rabbitmq.Message, error) {
		if err := r.pace.wait(ctx); err != nil {
			return rabbitmq.Message{}, err
		}
		return r.message(&p.events[i]), nil
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("publishing event %s: %w", p.events[len(sent)].ID, err)
	}
	if len(p.events) > 0 {
		failpoint.Hit("replay.published")
	}
	return sent, nil
}

// message is the event as the relay published it, with the mark of the replay.
func (r *run) message(e *eventquery.Event) rabbitmq.Message {
	m := rabbitmq.Message{
		Exchange: topology.Retry, RoutingKey: r.Queue, ID: e.ID.String(), Type: e.Type, Body: e.Body, Timestamp: e.OccurredAt, OwnUser: true,
		Headers: map[string]any{rabbitmq.HeaderLogSeq: e.Seq, topology.HeaderRelayed: true, rabbitmq.HeaderReplay: r.Replay.ID},
	}
	if r.Replay.Target == replay.Exchange {
		m.Exchange, m.RoutingKey = r.Replay.Name, event.Type(e.Type).RoutingKey()
	}
	if r.Replay.Again {
		m.Headers[rabbitmq.HeaderReplayAgain] = true
	}
	return m
}

// confirm waits for the broker's answers about a page, and moves the cursor behind it. An exchange of others
// may have no
// queue for an event: that is counted.
func (r *run) confirm(ctx context.Context, p page, sent pipeline.InFlight) error {
	unrouted := int64(0)
	err := sent.Wait(ctx, func(i int, err error) error {
		if r.Replay.Target == replay.Exchange && errors.Is(err, rabbitmq.ErrUnroutable) {
			unrouted++
			return nil
		}
		if err != nil {
			return fmt.Errorf("event %s: %w", p.events[i].ID, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(p.events) > 0 {
		failpoint.Hit("replay.confirmed")
	}
	r.at.Events, r.at.Unrouted = r.at.Events+int64(len(p.events)), r.at.Unrouted+unrouted
	return r.move(ctx, p.upto)
}
