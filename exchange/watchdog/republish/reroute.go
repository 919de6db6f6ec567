package republish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange"
)

// takePatience is how long to wait for a message that the queue said it had: somebody else may have taken it.
const takePatience = 2 * time.Second

// Reroute publishes to composerp.events again what lies in composerp.unrouted and has a place to go now, and gives how
// many messages that were. bound says which routing keys some queue is bound for; the others stay. It looks at no more
// than what lies there when it begins: a message for which there still is no queue comes back to the end.
//
// A message leaves composerp.unrouted when the broker has confirmed its copy. A crash in between leaves both, and every
// consumer knows the copy by its id.
func Reroute(ctx context.Context, session *exchange.Session, tag string, bound func(key string) bool) (rerouted int64, err error) {
	lying, _, err := session.Depth(exchange.Unrouted)
	if err != nil || lying == 0 {
		return 0, err
	}
	consumer, err := session.Consume(exchange.Unrouted, tag, min(lying, 65535))
	if err != nil {
		return 0, err
	}
	defer consumer.Close() // what was left unacknowledged goes back to its place
	publisher, err := session.Publisher(window)
	if err != nil {
		return 0, err
	}
	defer publisher.Close()
	for looked := 0; looked < min(lying, 65535); {
		taken, err := take(ctx, consumer, min(lying-looked, window))
		if err != nil || len(taken) == 0 {
			return rerouted, err
		}
		looked += len(taken)
		n, err := again(ctx, consumer, publisher, taken, bound)
		rerouted += n
		if err != nil {
			return rerouted, fmt.Errorf("taking messages out of %s: %w", exchange.Unrouted, err)
		}
	}
	return rerouted, nil
}

// take gives nothing when nothing comes.
func take(ctx context.Context, consumer *exchange.Consumer, limit int) ([]exchange.Delivery, error) {
	waiting, cancel := context.WithTimeout(ctx, takePatience)
	defer cancel()
	taken, err := consumer.Take(waiting, limit)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, nil
	}
	return taken, err
}

// again publishes what has a place to go, waits for the confirms, and acknowledges.
func again(ctx context.Context, consumer *exchange.Consumer, publisher *exchange.Publisher, taken []exchange.Delivery, bound func(string) bool) (n int64, err error) {
	var moving []exchange.Delivery
	var confirmations []*exchange.Confirmation
	for _, d := range taken {
		m := exchange.AgainMessage(d)
		if !bound(m.RoutingKey) {
			continue
		}
		c, err := publisher.Publish(ctx, m)
		if errors.Is(err, exchange.ErrUnpublishable) {
			continue
		}
		if err != nil {
			return n, err
		}
		moving, confirmations = append(moving, d), append(confirmations, c)
	}
	for i, c := range confirmations {
		if err := c.Wait(ctx); err != nil {
			return n, err
		}
		if err := consumer.AckOne(moving[i]); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
