package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/deadletter"
	"github.com/composerp/composerp/store"
)

// deadCheck holds the queues of dead letters against the journal. Where a queue
// has more letters than the journal says lie there, stock is taken of it: two of them
// may be one letter, and one that its journal has never heard of is entered
// now, so that people see it. Fewer are fine: somebody took them out by hand.
func (a *auditor) deadCheck(ctx context.Context, at look) (store.AuditCheck, error) {
	c := at.check("dead", "every dead letter is in the journal", func(q queue) bool { return q.role == dead }, func(q queue) string {
		if q.missing {
			return "is not there; apply the topology"
		}
		return ""
	})
	known, err := a.DB.LettersByConsumer(ctx, store.LetterFilter{})
	if err != nil {
		return c, err
	}
	lying := map[string]int{}
	for _, l := range known {
		lying[l.Consumer] = l.Lying
	}
	toDrain := 0 // the journal's own queue; its letters may be anybody's
	for _, q := range at.queues {
		if q.role == journal {
			toDrain = q.ready + int(q.unacked)
		}
	}
	var mended []string
	for _, q := range at.queues {
		if q.role != dead || q.missing || q.ready <= lying[q.worker]+toDrain {
			continue
		}
		switch entered, err := a.enter(ctx, q); {
		case errors.Is(err, deadletter.ErrBusy):
			c.Skipped = fmt.Sprintf("%s has %s, and the journal %s: %v", q.name, plural(int64(q.ready), "message"), thousands(int64(lying[q.worker])), deadletter.ErrBusy)
		case errors.Is(err, exchange.ErrMissing): // deleted since it was looked at: the next audit says so
		case err != nil:
			return c, err
		case entered > 0:
			mended = append(mended, fmt.Sprintf("%s of %s, which the journal did not have, entered", plural(int64(entered), "letter"), q.name))
		}
	}
	c.Mended = strings.Join(mended, "; ")
	return c, nil
}

func (a *auditor) enter(ctx context.Context, q queue) (entered int, err error) {
	a.Progress("going through " + q.name + ": it has more letters than the journal knows of")
	stock, err := deadletter.Config{DB: a.DB, Exchange: a.Exchange}.TakeStock(ctx, deadletter.Queue{Worker: q.worker})
	return stock.Entered, err
}
