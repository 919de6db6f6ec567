// Package deadletterlog records every dead letter in a table.
//
// Its queue is bound to everything that composerp.dead gets, from our own
// workers and from the broker's dead-lettering alike: the latter leaves no other
// trace. The messages themselves stay in their workers' dead-letter queues, to be
// inspected and redriven.
//
// # The queue of the version before
//
// The queue was composerp.dead-journal. OldQueue moves a fleet to the new one, in
// steps: bind the new queue, record what the old one holds, acknowledge it; and, when
// the old queue has had no other consumer for ten minutes, unbind it, record what came
// until then, delete it.
//
// Invariants:
//
//   - From the first step on every dead letter reaches the new queue. Until the old
//     queue is unbound each reaches that one too, and it is deleted only after its
//     letters are recorded.
//   - A letter that reached both queues is recorded once: its id follows from the
//     message.
//   - While the old queue has another consumer it is left as it is: a worker of the
//     version before records from it. That version declares and binds the queue again
//     when it starts, so that OldQueue looks for it as long as the worker runs.
//   - A fleet of the version before that starts, or that goes on alone, finds its queue
//     bound for ten minutes, and records what dies.
//
// A crash leaves, and the next process goes on from the first step:
//
//	before bind           the old queue bound alone; letters wait there
//	before record         letters of the old queue back in it, not recorded
//	before acknowledge    recorded letters back in the old queue; recorded again, no row more
//	before unbind         both queues bound; a letter comes twice and is recorded once
//	before delete         an old queue that is empty and unbound
//
// The version before declares the old queue, binds it, then consumes from it. A start
// in the very moment of the deletion fails once, or binds before the unbinding and
// records nothing until its watchdog binds again; nothing is lost, since the new queue
// has it. Where only the version before goes on after that, letters wait in the new
// queue for the next fleet of this version.
package deadletterlog

import (
	"context"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/deadletters"
	"github.com/composerp/composerp/workers/worker"
)

// New declares the worker.
func New() worker.Worker {
	return worker.New("deadletterlog", worker.OnMessages(topology.DeadLetterLog, record))
}

func record(ctx context.Context, tx *worker.Tx, messages []rabbitmq.Delivery) error {
	return failures.RecordDeadLetters(ctx, tx, lettersOf(messages))
}

func lettersOf(messages []rabbitmq.Delivery) []failures.DeadLetter {
	letters := make([]failures.DeadLetter, len(messages))
	for i, m := range messages {
		letters[i] = deadletters.LetterOf(m)
	}
	return letters
}
