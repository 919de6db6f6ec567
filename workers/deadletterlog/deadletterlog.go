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
// steps: bind the new queue, unbind the old one, record what the old one holds,
// acknowledge it, delete the old queue when it is empty and has had no other
// consumer for ten minutes.
//
// Invariants:
//
//   - From the first step on every dead letter reaches the new queue. Until then it
//     reaches the old one, which is deleted only after its letters are recorded.
//   - A letter that reached both queues is recorded once: its id follows from the
//     message.
//   - While the old queue has another consumer it is left as it is: a worker of the
//     version before records from it. That version declares and binds the queue again
//     when it starts, so that OldQueue looks for it as long as the worker runs.
//
// A crash leaves, and the next process goes on from the first step:
//
//	before bind           the old queue bound alone; letters wait there
//	before unbind         both queues bound; a letter comes twice and is recorded once
//	before record         letters of the old queue back in it, not recorded
//	before acknowledge    recorded letters back in the old queue; recorded again, no row more
//	before delete         an old queue that is empty and unbound
//
// A fleet of the version before that starts declares the old queue, binds it, then
// consumes from it. A deletion between these steps would end its start, so the old
// queue stays for the ten minutes in which a change of version may go back and
// forth. What is routed to it meanwhile is in the new queue, too. A start in the very
// moment of the deletion fails once, and nothing is lost. Where only the version
// before goes on afterwards, letters wait in the new queue for the next fleet of
// this version.
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
