// Package journal writes every dead letter into a table.
//
// Its queue is bound to everything that composerp.dead gets, from our own
// workers and from the broker's dead-lettering alike: the latter leaves no other
// trace. The messages themselves stay in their workers' dead-letter queues, for
// somebody to look at and put back.
package journal

import (
	"context"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/deadletters"
	"github.com/composerp/composerp/workers/worker"
)

// New declares the journal worker.
func New() worker.Worker {
	return worker.New("journal", worker.OnMessages(topology.DeadLetterLog, record))
}

func record(ctx context.Context, tx *worker.Tx, messages []rabbitmq.Delivery) error {
	letters := make([]failures.DeadLetter, len(messages))
	for i, m := range messages {
		letters[i] = deadletters.LetterOf(m)
	}
	return failures.RecordDeadLetters(ctx, tx, letters)
}
