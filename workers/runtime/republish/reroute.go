package republish

import (
	"context"
	"errors"
	"fmt"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers/runtime/pipeline"
)

// mostWalks bounds how often one Reroute goes through the queue.
const maxPasses = 5

// Reroute publishes to composerp.events again the messages of composerp.unrouted that a queue is bound for now, and
// returns how many. bound tells whether a queue is bound for a routing key; other messages stay. A message for which
// there still is no queue comes back to the end.
//
// A message leaves composerp.unrouted when the broker has confirmed its copy. A crash in between leaves both, and so
// does an acknowledgement that the broker forgets: so the queue is browsed again while there is more in it than was
// left there, a few times at most. Every consumer recognizes a copy by its id.
func Reroute(ctx context.Context, session *rabbitmq.Session, tag string, bound func(key string) bool) (rerouted int64, err error) {
	lying, _, err := session.Depth(topology.Unrouted)
	if err != nil || lying == 0 {
		return 0, err
	}
	publisher, err := session.Publisher(window)
	if err != nil {
		return 0, err
	}
	defer publisher.Close()
	r := rerouting{publisher: publisher, bound: bound, moved: map[string]bool{}}
	for walk := range maxPasses {
		more, err := r.pass(ctx, session, fmt.Sprintf("%s.%d", tag, walk))
		if err != nil {
			return int64(len(r.moved)), fmt.Errorf("taking messages out of %s: %w", topology.Unrouted, err)
		}
		if !more {
			break
		}
	}
	return int64(len(r.moved)), nil
}

type rerouting struct {
	publisher *rabbitmq.Publisher
	bound     func(key string) bool
	moved     map[string]bool // by message id
}

// pass browses the queue once, and tells whether there is reason to do it again.
func (r rerouting) pass(ctx context.Context, session *rabbitmq.Session, tag string) (more bool, err error) {
	browser, err := session.Browse(topology.Unrouted, tag)
	if err != nil {
		return false, err
	}
	acknowledged := 0
	for err == nil {
		var taken []rabbitmq.Delivery
		if taken, err = browser.Take(ctx, window); err == nil {
			var n int
			n, err = r.move(ctx, browser, taken)
			acknowledged += n
		}
	}
	returned, closing := browser.Close()
	if !errors.Is(err, rabbitmq.ErrDrained) {
		return false, err
	}
	return acknowledged > 0 && returned > 0, closing
}

// move publishes the messages that a queue is bound for now, waits for the confirms, and acknowledges.
func (r rerouting) move(ctx context.Context, browser *rabbitmq.QueueBrowser, taken []rabbitmq.Delivery) (acknowledged int, err error) {
	sent, err := pipeline.Publish(ctx, r.publisher, len(taken), func(i int) (rabbitmq.Message, error) {
		m := rabbitmq.RerouteMessage(taken[i])
		if !r.bound(m.RoutingKey) {
			return m, pipeline.ErrLeftOut
		}
		return m, nil
	}, func(int, error) error { return nil }) // what the broker will never take stays
	if err != nil {
		return 0, err
	}
	err = sent.Wait(ctx, func(i int, err error) error {
		if errors.Is(err, rabbitmq.ErrUnroutable) {
			return nil
		}
		if err == nil {
			err = browser.Ack(taken[i])
		}
		if err == nil {
			acknowledged++
			r.moved[taken[i].ID] = true
		}
		return err
	})
	if err != nil {
		return acknowledged, err
	}
	browser.Keep(len(taken) - acknowledged)
	return acknowledged, nil
}
