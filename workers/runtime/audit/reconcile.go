package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// reconciliation is what came of reconciling the queues of dead letters with the dead-letter log.
type reconciliation struct {
	corrected []string // corrections made to the dead-letter log
	skipped   string   // why a queue could not be browsed
}

// reconcile holds the queues of dead letters against the dead-letter log before anything is proven: an event that is
// dead for a consumer is not pending, and the log says which are. A queue is browsed where their numbers differ. A
// letter that the log does not have is recorded. A letter that the queue does not have is marked as lost, so that its
// event is pending again: it was moved by hand and then handled, or lost with its queue. While the fleet goes on
// working, letters are on their way to both, and only a queue with too many is browsed.
func (a *auditor) reconcile(ctx context.Context, at snapshot, rest bool) error {
	known, err := failures.LettersByConsumer(ctx, a.DB, failures.LetterFilter{})
	if err != nil {
		return err
	}
	lying := map[string]int{}
	for _, l := range known {
		lying[l.Consumer] = l.Lying
	}
	toDrain := 0 // letters not recorded yet, of any worker
	for _, q := range at.queues {
		if q.role == deadLetterLog {
			toDrain = q.ready + int(q.unacked)
		}
	}
	a.reconciliation.skipped = ""
	for _, q := range at.queues {
		differs := q.ready > lying[q.worker]+toDrain || rest && q.ready < lying[q.worker]
		if q.role != dead || q.missing || !differs {
			continue
		}
		a.Progress("reconciling " + q.name + " with the dead-letter log")
		walk := deadletters.Config{DB: a.DB, Broker: a.Broker, MissAge: a.Settle}
		found, err := walk.Reconcile(ctx, deadletters.Queue{Worker: q.worker})
		switch {
		case errors.Is(err, deadletters.ErrBusy):
			a.reconciliation.skipped = fmt.Sprintf("%s has %s, the dead-letter log %s: %v", q.name, wording.Count(int64(q.ready), "message"), wording.Thousands(int64(lying[q.worker])), deadletters.ErrBusy)
		case errors.Is(err, rabbitmq.ErrMissing): // deleted meanwhile: the next audit says so
		case err != nil:
			return err
		}
		if found.Entered > 0 {
			a.reconciliation.corrected = append(a.reconciliation.corrected, fmt.Sprintf("recorded %s of %s that the dead-letter log did not have", wording.Count(int64(found.Entered), "letter"), q.name))
		}
		if found.Missed > 0 {
			a.reconciliation.corrected = append(a.reconciliation.corrected, fmt.Sprintf("marked as lost %s that %s does not hold any more", wording.Count(int64(found.Missed), "letter"), q.name))
		}
	}
	return nil
}

func (s reconciliation) check(at snapshot) audit.Check {
	c := at.check("dead", "the dead-letter log knows every dead letter", func(q queue) bool { return q.role == dead }, absent)
	c.Repaired, c.Skipped = strings.Join(s.corrected, "; "), s.skipped
	return c
}
