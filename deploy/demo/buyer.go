package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/workers/approval"
)

// buyerName is the user who decides the orders that policy leaves to a person.
const buyerName = "buyer"

// buyer decides orders on the day after they were made, by the same functions as `composerp po approve` and `po
// reject`.
type buyer struct {
	db        *store.DB
	tenant    string
	rejection func(o purchasing.WaitingOrder, n int) string
	seen      int
}

// decide decides the orders that have waited since the day before or longer, and gives a note of each decision.
func (b *buyer) decide(ctx context.Context, date event.Date, zone *time.Location) (decided []string, err error) {
	waiting, err := purchasing.WaitingOrders(ctx, b.db, b.tenant)
	if err != nil {
		return nil, err
	}
	for _, o := range waiting {
		if event.DateOf(o.CreatedAt.In(zone)) >= date {
			continue
		}
		b.seen++
		line, err := b.decideOne(ctx, o, b.rejection(o, b.seen))
		if errors.Is(err, approval.ErrDecided) {
			continue // a person who watches the demo was first
		}
		if err != nil {
			return decided, err
		}
		decided = append(decided, line)
	}
	return decided, nil
}

// decideOne approves an order, or rejects it where there is a reason.
func (b *buyer) decideOne(ctx context.Context, o purchasing.WaitingOrder, reason string) (string, error) {
	what := fmt.Sprintf("%s from %s over %s", o.Number, o.Supplier, o.Total.StringFixed(2))
	if reason != "" {
		_, err := approval.Reject(ctx, b.db, o.OrderKey, operatorlog.By{Operator: buyerName, Reason: reason})
		return fmt.Sprintf("the buyer rejects %s: %s", what, reason), err
	}
	_, err := approval.Approve(ctx, b.db, o.OrderKey, operatorlog.By{Operator: buyerName})
	return "the buyer approves " + what, err
}
