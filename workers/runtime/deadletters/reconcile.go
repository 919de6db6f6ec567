package deadletters

import (
	"context"
	"fmt"

	"github.com/composerp/composerp/store/failures"
)

// Stock is what lies in a queue of dead letters.
type Reconciliation struct {
	Seen    int // letters; one that lies there twice counts once
	Entered int // that the journal did not have, or had as taken out
	Missed  int // that the journal has, and the queue has not
	Absent  int // messages that did not come, because somebody else has them
}

// TakeStock goes through a queue, takes nothing out, and has the journal say what
// lies there. They can differ: a letter goes to two queues by one publish, its
// own and the journal's, and a broker that dies in between has it in one of them.
// ErrBusy means that somebody else takes from the queue.
func (c Config) Reconcile(ctx context.Context, queue Queue) (s Reconciliation, err error) {
	w, err := c.open(ctx, queue, failures.LetterFilter{}, 0)
	if err != nil {
		return s, fmt.Errorf("taking stock of %s: %w", queue.Worker, err)
	}
	defer w.session.Close()
	err = w.run(ctx, func(_ context.Context, letters []letter) (stay int, err error) { return len(letters), nil })
	if err == nil {
		s.Missed, err = w.miss(ctx)
	}
	s.Seen, s.Entered, s.Absent = w.seen, w.entered, w.absent
	if err != nil {
		return s, fmt.Errorf("taking stock of %s: %w", w.name(), err)
	}
	return s, nil
}
