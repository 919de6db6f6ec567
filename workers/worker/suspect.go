package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/failures"
)

// suspicious is how many deliveries before this one make a message suspect, and
// how many deaths of the process with it in hand condemn it.
const suspicious = 3

func anySuspicious(deliveries []rabbitmq.Delivery) bool {
	for _, d := range deliveries {
		if d.DeliveryCount >= suspicious {
			return true
		}
	}
	return false
}

// onlySuspect is held while a suspect is tried: one at a time in a process,
// whatever its workers and slots, so that a death leaves the note of the message
// it was died of and of no other's.
var onlySuspect = make(chan struct{}, 1)

// handleSuspect handles one message that may be poison, with a note of it in the
// database. The note goes whatever becomes of the try: only a process that dies
// leaves it there.
func (s *slot) handleSuspect(ctx context.Context, d rabbitmq.Delivery) error {
	select {
	case onlySuspect <- struct{}{}:
		defer func() { <-onlySuspect }()
	case <-ctx.Done():
		return ctx.Err()
	}
	name := suspectName(d)
	var deaths int
	err := s.keep(ctx, func() (err error) {
		deaths, err = failures.NoteSuspect(ctx, s.DB, s.Worker.name, name)
		return err
	})
	if err != nil {
		return err
	}
	failpoint.Hit("suspect.noted")
	if deaths >= suspicious {
		err = s.judge(ctx, message{Delivery: d}, Reject(fmt.Errorf("poison: the process died %d times with this message in hand", deaths)))
	} else {
		err = s.handle(ctx, []rabbitmq.Delivery{d})
	}
	failpoint.Hit("suspect.tried")
	return errors.Join(err, s.forget(ctx, name))
}

// forgetTime is how long a process that was told to stop still tries to take back a note.
const forgetTime = 5 * time.Second

func (s *slot) forget(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), forgetTime)
		defer cancel()
	}
	return s.keep(ctx, func() error { return failures.ClearSuspect(ctx, s.DB, s.Worker.name, name) })
}

// suspectName is the message's id where it is a UUID, else one made of id and
// body: a stranger's message may have none, or one that no column can hold.
func suspectName(d rabbitmq.Delivery) string {
	if _, err := uuid.Parse(d.ID); err == nil {
		return d.ID
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, append([]byte(d.ID+"\x00"), d.Body...)).String()
}
