package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/failures"
)

// # Failure policy: poison isolation
//
// A message that makes the process die is found by the broker's count of
// deliveries. One that comes for the fourth time makes its slot isolate: a new
// channel with a prefetch of one, one message a transaction, and each suspect
// message is noted in the table suspect before it is attempted. The note is removed
// when the attempt ends, for whatever reason; only a process that dies leaves it.
// After three such deaths the message becomes a dead letter.
//
// One suspect message is attempted at a time in a whole process, so that a death
// leaves the note of the message that caused it and of no other. Its former
// neighbours have the same delivery count: they are noted, handled and cleared, each
// alone. The first message with a lower count ends the isolation.

// suspectAfter is how many earlier deliveries make a message suspect, and how many
// deaths of the process with the message in hand make it a dead letter.
const suspectAfter = 3

const logIsolating = "a message was delivered again and again; processing suspect messages one by one"

// mustIsolate tells whether a suspect message is among those that a slot took in
// the ordinary way. They go back to the queue with their consumer.
func (s *slot) mustIsolate(deliveries []rabbitmq.Delivery) bool {
	if s.isolated || !anySuspect(deliveries) {
		return false
	}
	s.Log.Warn(logIsolating, "queue", s.Worker.queue)
	s.isolated = true
	return true
}

// mayRejoin tells whether an isolated slot has processed its last suspect message.
func (s *slot) mayRejoin(deliveries []rabbitmq.Delivery) bool {
	if !s.isolated || anySuspect(deliveries) {
		return false
	}
	s.isolated = false
	return true
}

func anySuspect(deliveries []rabbitmq.Delivery) bool {
	return slices.ContainsFunc(deliveries, func(d rabbitmq.Delivery) bool { return d.DeliveryCount >= suspectAfter })
}

// oneSuspect is held while a suspect message is attempted: one at a time in a process, in all workers and slots.
var oneSuspect = make(chan struct{}, 1)

// processSuspect is process for one suspect message, which is noted in the database meanwhile.
func (s *slot) processSuspect(ctx context.Context, d rabbitmq.Delivery) error {
	select {
	case oneSuspect <- struct{}{}:
		defer func() { <-oneSuspect }()
	case <-ctx.Done():
		return ctx.Err()
	}
	name := suspectName(d)
	var deaths int
	err := s.whileUnserved(ctx, func() (err error) {
		deaths, err = failures.NoteSuspect(ctx, s.DB, s.Worker.name, name)
		return err
	})
	if err != nil {
		return err
	}
	failpoint.Hit("suspect.noted")
	if deaths >= suspectAfter {
		err = s.fail(ctx, message{Delivery: d}, Reject(fmt.Errorf("poison: the process died %d times with this message in hand", deaths)))
	} else {
		err = s.process(ctx, []rabbitmq.Delivery{d})
	}
	failpoint.Hit("suspect.tried")
	return errors.Join(err, s.clearSuspect(ctx, name))
}

// clearTime is how long a process that stops still tries to remove a note.
const clearTime = 5 * time.Second

func (s *slot) clearSuspect(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), clearTime)
		defer cancel()
	}
	return s.whileUnserved(ctx, func() error { return failures.ClearSuspect(ctx, s.DB, s.Worker.name, name) })
}

// suspectName is the message's id where it is a UUID, else one made of id and body:
// an external publisher's message may have no id, or one that no column can hold.
func suspectName(d rabbitmq.Delivery) string {
	if _, err := uuid.Parse(d.ID); err == nil {
		return d.ID
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, append([]byte(d.ID+"\x00"), d.Body...)).String()
}
