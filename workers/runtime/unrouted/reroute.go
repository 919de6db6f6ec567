package unrouted

import (
	"context"
	"errors"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/deadletters"
	"github.com/composerp/composerp/workers/runtime/pipeline"
)

// Rerouting publishes messages of composerp.unrouted to composerp.events again.
type Rerouting struct {
	Routes Routes
	// ByType also publishes messages with a wrong key, under their type's key.
	ByType bool
	Filter failures.LetterFilter
	Limit  int // at most; 0: all
	// Timestamp, when set, is the business time with which the events are published. An event that came through the log
	// stays: its copy alone would change.
	Timestamp time.Time

	publisher *rabbitmq.Publisher
	moved     map[string]bool // by message id
}

// Run publishes the messages for which a queue is bound now, and returns how many. The others stay; a message for
// which there still is no queue comes back to the end.
//
// A message leaves composerp.unrouted when the broker has confirmed its copy. A crash in between leaves both, and so
// does an acknowledgement that the broker forgets: so the queue is browsed again while there is more in it than was
// left there, a few times at most. Every consumer recognizes a copy by its id.
func (r Rerouting) Run(ctx context.Context, session *rabbitmq.Session, tag string) (rerouted int64, err error) {
	waiting, _, err := session.Depth(topology.Unrouted)
	if err != nil || waiting == 0 {
		return 0, err
	}
	if r.publisher, err = session.Publisher(window); err != nil {
		return 0, err
	}
	defer r.publisher.Close()
	r.moved = map[string]bool{}
	_, err = passes(ctx, session, tag, r.move)
	return int64(len(r.moved)), err
}

// key is the key that the message is published under, when it is chosen and a queue takes it now; else "".
func (r Rerouting) key(d rabbitmq.Delivery) string {
	key := r.Routes.Key(d)
	if !r.ByType && key != keyOf(d) || !r.Routes.letterOf(d).Matches(r.Filter) {
		return ""
	}
	return key
}

// move publishes the messages that a queue is bound for now, waits for the confirms, and acknowledges.
func (r Rerouting) move(ctx context.Context, browser *rabbitmq.QueueBrowser, taken []rabbitmq.Delivery) (acknowledged int, err error) {
	chosen := map[string]bool{}
	sent, err := pipeline.Publish(ctx, r.publisher, len(taken), func(i int) (rabbitmq.Message, error) {
		m, id := rabbitmq.RerouteMessage(taken[i]), taken[i].ID
		m.RoutingKey = r.key(taken[i])
		full := r.Limit > 0 && len(r.moved)+len(chosen) >= r.Limit && !r.moved[id] && !chosen[id]
		if m.RoutingKey == "" || full || !r.Timestamp.IsZero() && taken[i].LogSeq() > 0 {
			return m, pipeline.ErrLeftOut
		}
		m, err := deadletters.Redated(m, r.Timestamp)
		if err != nil {
			return m, err
		}
		if !r.moved[id] {
			chosen[id] = true
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
	return acknowledged, err
}
