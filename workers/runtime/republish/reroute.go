package republish

import (
	"context"
	"errors"
	"fmt"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
)

// mostWalks bounds how often one Reroute goes through the queue.
const mostWalks = 5

// Reroute publishes to composerp.events again what lies in composerp.unrouted and has a place to go now, and gives how
// many messages that were. bound says which routing keys somebody is bound for; the others stay. A message for which there
// still is no queue comes back to the end.
//
// A message leaves composerp.unrouted when the broker has confirmed its copy. A crash in between leaves both, and so does
// an acknowledgement that the broker forgets: so the queue is gone through again while there is more in it than was left
// there, a few times at most. Every consumer knows a copy by its id.
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
	for walk := range mostWalks {
		more, err := r.walk(ctx, session, fmt.Sprintf("%s.%d", tag, walk))
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

// walk goes through the queue once, and says whether there is reason to do it again.
func (r rerouting) walk(ctx context.Context, session *rabbitmq.Session, tag string) (more bool, err error) {
	sieve, err := session.Browse(topology.Unrouted, tag)
	if err != nil {
		return false, err
	}
	acknowledged := 0
	for err == nil {
		var taken []rabbitmq.Delivery
		if taken, err = sieve.Take(ctx, window); err == nil {
			var n int
			n, err = r.again(ctx, sieve, taken)
			acknowledged += n
		}
	}
	returned, closing := sieve.Close()
	if !errors.Is(err, rabbitmq.ErrDrained) {
		return false, err
	}
	return acknowledged > 0 && returned > 0, closing
}

// again publishes what has a place to go, waits for the confirms, and acknowledges.
func (r rerouting) again(ctx context.Context, sieve *rabbitmq.QueueBrowser, taken []rabbitmq.Delivery) (acknowledged int, err error) {
	var moving []rabbitmq.Delivery
	var confirmations []*rabbitmq.Confirmation
	for _, d := range taken {
		m := rabbitmq.RerouteMessage(d)
		if !r.bound(m.RoutingKey) {
			continue
		}
		c, err := r.publisher.Publish(ctx, m)
		if errors.Is(err, rabbitmq.ErrUnpublishable) {
			continue
		}
		if err != nil {
			return 0, err
		}
		moving, confirmations = append(moving, d), append(confirmations, c)
	}
	for i, c := range confirmations {
		err := c.Wait(ctx)
		if errors.Is(err, rabbitmq.ErrUnroutable) {
			continue
		}
		if err == nil {
			err = sieve.Ack(moving[i])
		}
		if err != nil {
			return acknowledged, err
		}
		acknowledged++
		r.moved[moving[i].ID] = true
	}
	sieve.Keep(len(taken) - acknowledged)
	return acknowledged, nil
}
