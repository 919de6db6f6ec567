package deadletters

import (
	"context"
	"fmt"

	"github.com/composerp/composerp/store/failures"
)

// Reconciliation is what a queue of dead letters holds, against the dead-letter log.
type Reconciliation struct {
	Seen    int // letters; one that is there twice counts once
	Entered int // that the dead-letter log did not have, or had as removed
	Missed  int // that the dead-letter log has and the queue has not
	Absent  int // messages not received, because another consumer has them
}

// Reconcile browses a queue, removes nothing, and corrects the dead-letter log by what is there. They can differ: a
// letter goes to two queues by one publish, its own and that of the dead-letter log, and a broker that dies in
// between has it in one of them. ErrBusy means that the queue has another consumer.
func (c Config) Reconcile(ctx context.Context, queue Queue) (s Reconciliation, err error) {
	w, err := c.open(ctx, queue, failures.LetterFilter{}, 0)
	if err != nil {
		return s, fmt.Errorf("reconciling %s: %w", queue.Worker, err)
	}
	defer w.session.Close()
	err = w.run(ctx, func(_ context.Context, letters []letter) (stay int, err error) { return len(letters), nil })
	if err == nil {
		s.Missed, err = w.miss(ctx)
	}
	s.Seen, s.Entered, s.Absent = w.seen, w.entered, w.absent
	if err != nil {
		return s, fmt.Errorf("reconciling %s: %w", w.name(), err)
	}
	return s, nil
}
