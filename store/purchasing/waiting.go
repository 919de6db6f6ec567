package purchasing

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

var sentRequests = pg.SQL(`
SELECT d.request FROM dispatch d
WHERE d.tenant_id = $1 AND d.sent_at IS NOT NULL
  AND EXISTS (SELECT FROM purchase_order_line l WHERE l.tenant_id = d.tenant_id AND l.purchase_order_id = d.purchase_order_id AND l.open)
ORDER BY d.purchase_order_id`)

// SentOrders returns the orders that suppliers have and have not delivered completely, as they were sent.
func SentOrders(ctx context.Context, db *store.DB, tenant string) ([]string, error) {
	return pg.List[string](ctx, db, fmt.Sprintf("reading the sent orders of %s", tenant), sentRequests, tenant)
}

// WaitingOrder is an order that policy has left to a person.
type WaitingOrder struct {
	OrderKey
	Number    string        `db:"po_number"`
	Supplier  string        `db:"supplier_id"`
	Total     event.Decimal `db:"total_amount"`
	CreatedAt time.Time     `db:"created_at"`
}

var waitingOrders = pg.SQL(`
SELECT tenant_id, purchase_order_id, po_number, supplier_id, total_amount, created_at FROM purchase_order
WHERE tenant_id = $1 AND status = 'PENDING' ORDER BY created_at, purchase_order_id`)

// WaitingOrders returns a tenant's undecided orders, oldest first.
func WaitingOrders(ctx context.Context, db *store.DB, tenant string) ([]WaitingOrder, error) {
	return pg.List[WaitingOrder](ctx, db, "reading the waiting orders", waitingOrders, tenant)
}
