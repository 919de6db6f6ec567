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

// stock is what came of holding the queues of dead letters against their journal.
type reconciliation struct {
	corrected []string // what the journal said wrong, and says right now
	skipped   string   // why some queue could not be gone through
}

// takeStock holds the queues of dead letters against the journal, before anything
// is proven: who is dead for a consumer owes it nothing, and the journal says who is.
// A queue is gone through where the two disagree in their numbers. What lies there and
// the journal never heard of is entered, so that people see it. What the journal has, and
// the queue has not, is marked as missed, so that it is owed again: somebody has moved it
// by hand, and then it is handled, or it was lost with its queue. A fleet that goes on
// has letters on their way to both, and only what is too many in a queue is looked at.
func (a *auditor) reconcile(ctx context.Context, at snapshot, rest bool) error {
	known, err := failures.LettersByConsumer(ctx, a.DB, failures.LetterFilter{})
	if err != nil {
		return err
	}
	lying := map[string]int{}
	for _, l := range known {
		lying[l.Consumer] = l.Lying
	}
	toDrain := 0 // the journal's own queue; its letters may be anybody's
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
		a.Progress("going through " + q.name + ", of which the journal says otherwise")
		walk := deadletters.Config{DB: a.DB, Broker: a.Broker, MissAge: a.Settle}
		found, err := walk.Reconcile(ctx, deadletters.Queue{Worker: q.worker})
		switch {
		case errors.Is(err, deadletters.ErrBusy):
			a.reconciliation.skipped = fmt.Sprintf("%s has %s, and the journal %s: %v", q.name, wording.Count(int64(q.ready), "message"), wording.Thousands(int64(lying[q.worker])), deadletters.ErrBusy)
		case errors.Is(err, rabbitmq.ErrMissing): // deleted since it was looked at: the next audit says so
		case err != nil:
			return err
		}
		if found.Entered > 0 {
			a.reconciliation.corrected = append(a.reconciliation.corrected, fmt.Sprintf("%s of %s, which the journal did not have, entered", wording.Count(int64(found.Entered), "letter"), q.name))
		}
		if found.Missed > 0 {
			a.reconciliation.corrected = append(a.reconciliation.corrected, fmt.Sprintf("%s that %s does not hold any more, marked as missed", wording.Count(int64(found.Missed), "letter"), q.name))
		}
	}
	return nil
}

func (s reconciliation) check(at snapshot) audit.Check {
	c := at.check("dead", "the journal says which dead letters there are", func(q queue) bool { return q.role == dead }, func(q queue) string {
		if q.missing {
			return "is not there; apply the topology"
		}
		return ""
	})
	c.Mended, c.Skipped = strings.Join(s.corrected, "; "), s.skipped
	return c
}
