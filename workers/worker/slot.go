package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/failpoint"
)

// slot is one consumer on its own channel, and the goroutine that drains it.
type slot struct {
	*Runner
	number    int
	session   *rabbitmq.Session
	publisher *rabbitmq.Publisher
	careful   bool

	deferred waits // of what was taken last
	resting  *backoff
}

// errTurn ends a consumer because the slot turns careful, or stops being so.
var errTurn = errors.New("the slot changes its pace")

// run consumes until ctx is done or the session is lost.
func (s *slot) run(ctx context.Context) error {
	for {
		err := s.consume(ctx)
		if !errors.Is(err, errTurn) {
			return err
		}
	}
}

func (s *slot) consume(ctx context.Context) error {
	batch, prefetch := s.Worker.batch, s.Worker.prefetch
	if s.careful {
		batch, prefetch = 1, 1
	}
	consumer, err := s.session.Consume(s.Worker.queue, s.tag(s.number), prefetch)
	if err != nil {
		return fmt.Errorf("consuming %s: %w", s.Worker.queue, err)
	}
	defer consumer.Close()
	s.Metrics.slots.WithLabelValues(s.Worker.name).Inc()
	defer s.Metrics.slots.WithLabelValues(s.Worker.name).Dec()
	if s.Started != nil {
		s.Started()
	}
	for {
		deliveries, err := consumer.Take(ctx, batch)
		if err != nil {
			return s.leave(ctx, err)
		}
		deliveries = s.await(ctx, consumer, deliveries, batch)
		if !s.careful && anySuspicious(deliveries) {
			s.Log.Warn("a message comes again and again; going on one by one", "queue", s.Worker.queue)
			s.careful = true
			return errTurn
		}
		if err := s.finish(ctx, consumer, deliveries); err != nil {
			return err
		}
		s.rest(ctx, consumer, len(deliveries))
		if s.careful && !anySuspicious(deliveries) {
			s.careful = false
			return errTurn
		}
		if ctx.Err() != nil {
			return s.leave(ctx, ctx.Err())
		}
	}
}

// await lingers for more, where the worker does. An error of the session's will
// be found again by whoever acknowledges what is in hand.
func (s *slot) await(ctx context.Context, consumer *rabbitmq.Consumer, deliveries []rabbitmq.Delivery, batch int) []rabbitmq.Delivery {
	if s.Worker.linger == 0 || len(deliveries) < 2 {
		return deliveries
	}
	ctx, cancel := context.WithTimeout(ctx, s.Worker.linger)
	defer cancel()
	for len(deliveries) < batch {
		more, err := consumer.Take(ctx, batch-len(deliveries))
		if err != nil {
			break
		}
		deliveries = append(deliveries, more...)
	}
	return deliveries
}

// leave tells the end of the process's patience from the end of the session.
func (s *slot) leave(ctx context.Context, err error) error {
	if errors.Is(err, rabbitmq.ErrConsumerCancelled) {
		s.Log.Error("the broker has cancelled this consumer: was its queue deleted?", "queue", s.Worker.queue)
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// finish carries the deliveries through to their acknowledgement. Once begun it
// is not broken off by ctx; it gets drainTime after that.
func (s *slot) finish(ctx context.Context, consumer *rabbitmq.Consumer, deliveries []rabbitmq.Delivery) error {
	failpoint.Hit("worker.taken")
	began := time.Now()
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, cancel) })()

	var err error
	if s.careful && anySuspicious(deliveries) {
		err = s.handleSuspect(working, deliveries[0])
	} else {
		err = s.handle(working, deliveries)
	}
	if err != nil {
		return err
	}
	failpoint.Hit("worker.committed")
	if err := consumer.Ack(deliveries[len(deliveries)-1]); err != nil {
		return fmt.Errorf("acknowledging %d messages: %w", len(deliveries), err)
	}
	failpoint.Hit("worker.acked")
	s.Metrics.batch.WithLabelValues(s.Worker.name).Observe(float64(len(deliveries)))
	s.Metrics.handling.WithLabelValues(s.Worker.name).Observe(time.Since(began).Seconds())
	return nil
}
