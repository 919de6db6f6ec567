package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/workers/worker/spans"
	"github.com/composerp/composerp/workers/worker/timing"
)

// slot is one consumer on its own channel, and the goroutine that drains it. It is
// the ends of the chain: take, decode, acknowledge. The middle is the processor's.
type slot struct {
	*Runner
	processor processor
	queue     string    // that it consumes
	lane      *laneSlot // nil: it consumes the queue beside other slots
	number    int
	session   *rabbitmq.Session
	publisher *rabbitmq.Publisher
	ahead     int       // the prefetch of its consumer
	refitted  time.Time // when the prefetch changed; zero: never

	deferred deferrals    // of the batch in hand: see deferral.go
	pauses   *backoff     // while all messages are deferred
	deferral clock.Seldom // how often that is logged
	lone     clock.Seldom // how often a message that alone waits for a dependency is logged

	isolating clock.Seldom // how often suspect messages are logged: see isolation.go
}

// consume takes batch after batch until ctx is done or the session is lost. Once leaving is done, it cancels the
// consumer and takes what has arrived. Where the prefetch no longer fits, it does the same and consumes anew.
func (s *slot) consume(ctx, leaving context.Context) error {
	consumer, err := s.open()
	if err != nil {
		return err
	}
	s.began()
	defer s.ended()
	for {
		err := s.takeAll(ctx, leaving, consumer)
		if !errors.Is(err, rabbitmq.ErrDrained) || leaving.Err() != nil {
			return s.endedBy(ctx, err)
		}
		if consumer, err = s.open(); err != nil {
			return s.endedBy(ctx, err)
		}
	}
}

// open starts a consumer with the prefetch that fits now.
func (s *slot) open() (*rabbitmq.Consumer, error) {
	s.ahead = s.prefetch()
	consumer, err := s.session.Consume(s.queue, s.tag(s.number), s.ahead)
	if err != nil {
		return nil, fmt.Errorf("consuming %s: %w", s.queue, err)
	}
	return consumer, nil
}

// takeAll takes batch after batch from a consumer until it is drained, ctx is done or the session is lost; then it
// closes it.
func (s *slot) takeAll(ctx, leaving context.Context, consumer *rabbitmq.Consumer) error {
	defer consumer.Close()
	defer s.works.opened(consumer)()
	// A consumer that cannot be cancelled has lost its session, which take finds.
	defer context.AfterFunc(leaving, func() {
		if ctx.Err() == nil {
			_ = consumer.Cancel()
		}
	})()
	for {
		deliveries, err := s.take(ctx, consumer)
		if err != nil {
			return err
		}
		batches, err := s.batches(ctx, deliveries)
		if err != nil {
			return err
		}
		for _, batch := range batches {
			if err := s.finishOne(ctx, leaving, consumer, batch); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		s.refit(consumer)
	}
}

const logPrefetch = "the prefetch of a slot changes"

// refit cancels a consumer whose prefetch no longer fits.
func (s *slot) refit(consumer *rabbitmq.Consumer) {
	to, behind := s.prefetch(), consumer.Waiting()
	shrinks := 2*to <= s.ahead && behind >= to
	grows := to >= 2*s.ahead && behind > 0
	if !shrinks && !grows || time.Since(s.refitted) < refitPause {
		return
	}
	s.refitted = time.Now()
	s.Log.Info(logPrefetch, "slot", s.number, "from", s.ahead, "to", to)
	_ = consumer.Cancel() // one that cannot be cancelled has lost its session, which take finds
}

// finishOne is finish for a batch, during which the slot counts as busy, and the pause after it where all was deferred.
func (s *slot) finishOne(ctx, leaving context.Context, consumer *rabbitmq.Consumer, batch []rabbitmq.Delivery) error {
	done, worked := s.taken(batch), s.works.begun(batch)
	err := s.finish(ctx, consumer, batch)
	worked(err == nil)
	done()
	if err == nil {
		s.pauseIfAllDeferred(leaving, consumer, len(batch))
	}
	return err
}

// take waits for messages, at most a batch of them, and lingers for more where the
// worker does. An error of the session while it lingers is found again by the
// acknowledgement.
func (s *slot) take(ctx context.Context, consumer *rabbitmq.Consumer) ([]rabbitmq.Delivery, error) {
	batch := s.Worker.batch
	deliveries, err := consumer.Take(ctx, batch)
	if err != nil || s.Worker.linger == 0 || len(deliveries) < 2 {
		return deliveries, err
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
	return deliveries, nil
}

const logConsumerCancelled = "the broker has cancelled this consumer: was its queue deleted?"

// endedBy returns nil when the process stops or the slot has drained, else the session's error.
func (s *slot) endedBy(ctx context.Context, err error) error {
	if errors.Is(err, rabbitmq.ErrDrained) {
		return nil
	}
	if errors.Is(err, rabbitmq.ErrConsumerCancelled) {
		s.Log.Error(logConsumerCancelled, "queue", s.queue)
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// finish brings the deliveries to their outcomes and acknowledges them. ctx does
// not break it off: once the process stops it has drainTime.
func (s *slot) finish(ctx context.Context, consumer *rabbitmq.Consumer, deliveries []rabbitmq.Delivery) error {
	failpoint.Hit("worker.taken")
	began := time.Now()
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, cancel) })()
	s.processor.batch.Begin(began)
	busy := s.Metrics.busy.WithLabelValues(s.Worker.name)
	busy.Inc()
	defer busy.Dec()
	defer s.locks.Watch(working, s.DB)()

	var err error
	if names := suspectNames(deliveries); len(names) > 0 {
		err = s.processSuspects(working, deliveries, names)
	} else {
		err = s.process(working, deliveries)
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

// process brings deliveries to their outcomes: committed, in a retry queue, or dead
// letters. nil means that all of them may be acknowledged.
func (s *slot) process(ctx context.Context, deliveries []rabbitmq.Delivery) error {
	messages, err := s.decode(ctx, deliveries)
	if err == nil {
		messages, err = s.sort(ctx, messages)
	}
	if err != nil || len(messages) == 0 {
		return err
	}
	if len(messages) > 1 && !s.Worker.makesCalls() {
		err := s.attempt(ctx, messages)
		if err == nil || notTheMessages(ctx, err) {
			return err
		}
		s.Log.Info(logBatchFailed, "size", len(messages), "error", err)
		failpoint.Hit("worker.alone")
	}
	return s.processOneByOne(ctx, messages)
}

// decode decodes the messages. One that can not be decoded never will be: it fails at once.
func (s *slot) decode(ctx context.Context, deliveries []rabbitmq.Delivery) ([]message, error) {
	var logged []bool
	err := s.whileUnserved(ctx, func() (err error) { logged, err = s.processor.logged(ctx, deliveries); return err })
	if err != nil {
		return nil, err
	}
	messages := make([]message, 0, len(deliveries))
	for i, d := range deliveries {
		m, err := s.Worker.decode(d, logged[i])
		if err == nil {
			m.times, m.measured = timing.Of(d, logged[i] || d.OwnUser, s.processor.batch.Began)
			messages = append(messages, m)
			continue
		}
		if err := s.fail(ctx, message{Delivery: d}, err); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// attempt processes messages in one transaction, again while only the database is in the way.
func (s *slot) attempt(ctx context.Context, messages []message) error {
	var done outcome
	began := time.Now()
	err := s.whileUnserved(ctx, func() (err error) {
		done, err = s.processor.process(ctx, messages)
		return err
	})
	if errors.Is(err, store.ErrLocked) {
		s.processor.batch.Locked(time.Since(began))
	}
	if err != nil {
		return err
	}
	s.observe(began, done.claimed)
	s.countReplayed(messages, done)
	s.count(outcomeHandled, done.handled)
	s.count(outcomeParked, done.parked)
	s.count(outcomeDuplicate, len(messages)-done.handled-done.parked)
	if done.advanced {
		s.resumeSoon()
	}
	return nil
}

// observe counts where the time of deliveries went whose effects are committed, and tells of the attempt that began
// then.
func (s *slot) observe(began time.Time, handled []message) {
	now := time.Now()
	if count := s.Worker.counted.count; count != nil && len(handled) > 0 {
		if first := withoutAgain(handled); len(first) > 0 {
			count(eventsOf(first))
		}
	}
	if s.Spans != nil {
		for i := range handled {
			s.span(handled[i], len(handled), began, outcomeHandled, nil)
		}
	}
	for i := range handled {
		times := handled[i].times
		s.processor.batch.End(&times, now)
		trace := ""
		if i == 0 { // of its batch it has waited longest, and an exemplar costs more than a count
			trace = handled[i].event.Metadata.TraceID()
		}
		s.delays.Observe(&times, handled[i].measured, trace)
	}
}

// span tells of an attempt to handle a message, which is over.
func (s *slot) span(m message, batch int, began time.Time, outcome string, failure error) {
	if m.event.ID == uuid.Nil {
		return // it could not be read
	}
	s.Spans.Handled(spans.Handling{
		Worker: s.Worker.name, Queue: s.queue, Event: m.event.Envelope, FromLog: m.event.LogSeq > 0, Attempt: max(0, m.Attempt()),
		Outcome: outcome, Batch: batch, Began: began, Ended: time.Now(), Err: failure,
	})
}

func (s *slot) count(outcome string, n int) {
	s.Metrics.messages.WithLabelValues(s.Worker.name, outcome).Add(float64(n))
	if outcome == outcomeHandled && n > 0 {
		s.Metrics.success.WithLabelValues(s.Worker.name).SetToCurrentTime()
	}
}
