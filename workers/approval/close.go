package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/purchasing"
)

// # Closing
//
// A person closes an order whose rest will not come: what is left of it is not on order any more, and what is
// short is ordered anew. The mark on the order, the operator log and PURCHASE_ORDER_CLOSED are one transaction; the
// lines close when replenishment handles the event, under the locks of their positions. A crash before the commit
// leaves nothing, after it the event is in the log. What comes for a closed order all the same is stock, and counts
// at the line.

// ErrNotClosable means that the order is not one that can be closed; the text says what to do.
var ErrNotClosable = errors.New("cannot be closed")

// closable are the states at the supplier in which nothing is under way that a closing would cross.
var closable = []purchasing.DispatchStatus{purchasing.DispatchSent, purchasing.DispatchByHand, purchasing.DispatchRefused}

// Close closes an order and returns what its lines still awaited; a dry run only returns that. It is ErrNotClosable
// when the order waits for a decision, was cancelled or closed, is not with its supplier yet, or awaits nothing.
func Close(ctx context.Context, db *store.DB, order purchasing.OrderKey, by operatorlog.By, dryRun bool) (c purchasing.ClosingOrder, err error) {
	if by.Reason == "" || by.Operator == "" {
		return c, errors.New("closing an order needs a name and a reason")
	}
	err = db.InTx(ctx, func(tx store.Tx) error {
		if c, err = purchasing.LockClosing(ctx, tx, order); err != nil {
			return err
		}
		if why := notClosable(&c); why != "" {
			return fmt.Errorf("%s %w: %s", c.Number, ErrNotClosable, why)
		}
		if dryRun {
			return nil
		}
		c.Version++
		if err := purchasing.CloseOrder(ctx, tx, order, c.Version, c.MadeAt, by.Operator, by.Reason); err != nil {
			return err
		}
		closed, err := event.Encode(event.Envelope{
			ID: decisionID(c.OrderDecision), AggregateID: c.Order, TenantID: c.Tenant, Timestamp: c.LatestAt.UTC(),
			Metadata: event.Metadata{Source: source, UserID: by.Operator, CorrelationID: c.CorrelationID, CausationID: causeOf(c.OrderDecision), Sequence: c.Version},
		}, event.PurchaseOrderClosed{PurchaseOrderID: c.Order, Reason: by.Reason, ClosedBy: by.Operator, PONumber: c.Number, ClosedAt: c.MadeAt})
		if err != nil {
			return fmt.Errorf("emitting that %s is closed: %w", c.Number, err)
		}
		if err := operatorlog.Note(ctx, tx, by, "po close", c.Number, map[string]any{"awaited": c.Rests}, map[string]any{"tenant": c.Tenant, "order": c.Order}); err != nil {
			return err
		}
		return eventlog.Append(ctx, tx, []event.Any{closed})
	})
	return c, err
}

func notClosable(c *purchasing.ClosingOrder) string {
	switch {
	case c.Status == purchasing.OrderPending:
		return "it waits for a decision; `composerp po reject` takes it back"
	case c.Status == purchasing.OrderCancelled:
		return "it was cancelled by " + c.DecidedBy
	case c.ClosedAt != nil:
		return "it was closed by " + c.ClosedBy
	case !slices.Contains(closable, c.Dispatch):
		return fmt.Sprintf("it is not with its supplier yet (%s)", strings.ToLower(strings.ReplaceAll(string(c.Dispatch), "_", " ")))
	case len(c.Rests) == 0:
		return "everything of it has come"
	}
	return ""
}
