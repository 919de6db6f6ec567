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

// # Failure policy: poison isolation
//
// A message that makes the process die is found by the broker's count of deliveries.
// One that comes for the fourth time is suspect, and so are its former neighbours:
// after many lost connections, hundreds of innocent ones. They are attempted
// together, and noted in the table suspect before that, with the size of their batch.
// The notes are removed when the attempt ends; only a process or a session that ends
// with the batch in hand leaves them. What is noted comes into a batch of an eighth
// of that size at most, and at last alone. After three deaths of the process with a
// message alone in hand it becomes a dead letter.
//
// n suspect messages, k of them poison, cost n/batch + O(k log n) transactions, and
// each poison log8 n + 3 deaths. Eighths, not halves: a death costs a restart of the
// process, which whatever starts it delays more and more; a transaction costs
// milliseconds.
//
// Invariants:
//
//   - A suspect message is in no attempt without a note that is committed.
//   - Each end of a process makes the batches of what it leaves noted smaller, until
//     they are of one. So poison comes to be alone, however the broker mixes messages
//     and processes anew.
//   - A death counts against a message only when it was noted as alone. Its batch
//     counts messages that are not suspect too, and copies of it. So a neighbour of
//     poison is never condemned for a death of their batch.
//   - One batch with suspect messages is attempted at a time in a process, in all its
//     workers: a death leaves the notes of one batch.
//
// What a crash leaves, step by step:
//
//	before the note       nothing; the messages come again with a higher count
//	after the note        the notes: their next batch is smaller. A message that was
//	                      alone has one more death, as when it had been attempted
//	after the attempt,    the notes of messages that are done: they come again as
//	before the clearing   duplicates, in smaller batches, and are cleared then
//	after the clearing,   nothing; duplicates, in batches of any size
//	before the ack
//
// What else ends an attempt:
//
//   - The session is lost and the attempt needs it (a copy for a retry queue), or the
//     process stops and the attempt does not end in time: notes of several messages
//     stay, and the next batch is smaller; so a message that ends sessions comes to be
//     alone too. The note of one message is removed: that was no death.
//   - The handler hangs: other suspect messages of the process wait. The kill that ends
//     it counts as any death; and when the broker takes the messages from a slot that
//     hangs and another process notes them, that counts as one as well.
//   - Memory runs out by what a batch holds together: the smaller batch fits. By one
//     message: it comes to be alone, and the kill counts.
//   - A frame that the client library refuses reaches no slot: package rabbitmq gives
//     it as a message that cannot be read.
//   - Two processes have the same messages in hand, when one has lost its session and
//     does not know yet: each notes them, and the first that ends clears them. At worst
//     a death is not counted, and one more comes; or a message is alone too early.
//   - The version before notes each message alone and reads no size: it counts the end
//     of a batch as one death, which its own attempt then clears.

const (
	// suspectAfter is how many earlier deliveries make a message suspect, and how many
	// deaths of the process with it alone in hand make it a dead letter.
	suspectAfter = 3
	// suspectShare is by how much a batch is smaller than the one that ended with its process.
	suspectShare = 8
)

const logIsolating = "messages were delivered again and again; noting them while they are in hand"

// batches cuts what a slot took, in its order, into batches that may be attempted
// together: all of it, unless a process or a session ended with some of it in hand.
func (s *slot) batches(ctx context.Context, deliveries []rabbitmq.Delivery) ([][]rabbitmq.Delivery, error) {
	names := suspectNames(deliveries)
	if len(names) == 0 {
		return [][]rabbitmq.Delivery{deliveries}, nil
	}
	if s.isolating.Due() {
		s.Log.Warn(logIsolating, "queue", s.queue, "suspect", len(names), "of", len(deliveries))
	}
	var noted map[string]int
	err := s.whileUnserved(ctx, func() (err error) {
		noted, err = failures.SuspectBatches(ctx, s.DB, s.Worker.name, names)
		return err
	})
	return cut(deliveries, noted), err
}

// cut is batches with the sizes of the batches that suspect messages were noted with.
func cut(deliveries []rabbitmq.Delivery, noted map[string]int) (batches [][]rabbitmq.Delivery) {
	begin, room := 0, len(deliveries)
	for i, d := range deliveries {
		most := len(deliveries)
		if size, is := noted[suspectName(d)]; is && isSuspect(d) {
			most = max(1, size/suspectShare)
		}
		if i > begin && i-begin >= min(room, most) {
			batches = append(batches, deliveries[begin:i])
			begin, room = i, len(deliveries)
		}
		room = min(room, most)
	}
	return append(batches, deliveries[begin:])
}

func isSuspect(d rabbitmq.Delivery) bool { return d.DeliveryCount >= suspectAfter }

// oneSuspect is held while suspect messages are attempted: one batch at a time in a process, in all workers and slots.
var oneSuspect = make(chan struct{}, 1)

// processSuspects is process for a batch with suspect messages, which are noted in the database meanwhile.
func (s *slot) processSuspects(ctx context.Context, deliveries []rabbitmq.Delivery, names []string) error {
	select {
	case oneSuspect <- struct{}{}:
		defer func() { <-oneSuspect }()
	case <-ctx.Done():
		return ctx.Err()
	}
	alone := len(deliveries) == 1
	var deaths int
	err := s.whileUnserved(ctx, func() (err error) {
		deaths, err = failures.NoteSuspects(ctx, s.DB, s.Worker.name, names, len(deliveries))
		return err
	})
	if err != nil {
		return err
	}
	failpoint.Hit("suspect.noted")
	if alone && deaths >= suspectAfter {
		err = s.fail(ctx, message{Delivery: deliveries[0]}, Reject(fmt.Errorf("poison: the process died %d times with this message in hand", deaths)))
	} else {
		err = s.process(ctx, deliveries)
	}
	failpoint.Hit("suspect.tried")
	if err != nil && !alone {
		return err
	}
	return errors.Join(err, s.clearSuspects(ctx, names))
}

// clearTime is how long a process that stops still tries to remove notes.
const clearTime = 5 * time.Second

func (s *slot) clearSuspects(ctx context.Context, names []string) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), clearTime)
		defer cancel()
	}
	return s.whileUnserved(ctx, func() error { return failures.ClearSuspects(ctx, s.DB, s.Worker.name, names) })
}

// suspectNames are the names of those deliveries that are suspect.
func suspectNames(deliveries []rabbitmq.Delivery) (names []string) {
	for _, d := range deliveries {
		if isSuspect(d) {
			names = append(names, suspectName(d))
		}
	}
	return names
}

// suspectName is the message's id where it is a UUID, else one made of id and body:
// an external publisher's message may have no id, or one that no column can hold.
func suspectName(d rabbitmq.Delivery) string {
	if _, err := uuid.Parse(d.ID); err == nil {
		return d.ID
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, append([]byte(d.ID+"\x00"), d.Body...)).String()
}
