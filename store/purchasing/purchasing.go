package purchasing

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
)

// The statuses of an order.
const (
	OrderPending   = event.PurchaseOrderPending
	OrderApproved  = "APPROVED"
	OrderCancelled = "CANCELLED"
)

// OrderKey identifies an order of a tenant.
type OrderKey struct {
	Tenant string `db:"tenant_id"`
	Order  string `db:"purchase_order_id"`
}

// OrderLine is a line of an order as receipts need it. Of one position's lines the lower Ordinal is older.
type OrderLine struct {
	OrderKey
	Quantity event.Decimal
	Received event.Decimal
	Open     bool
	Ordinal  int64
	// Sequence is the position's version when the rule asked for the line.
	Sequence int64
}

// Rest is the quantity still to be received.
func (l *OrderLine) Rest() event.Decimal {
	if rest := l.Quantity.Sub(l.Received); l.Open && !rest.IsNegative() {
		return rest
	}
	return event.Decimal{}
}

var orderPositions = pg.SQL(`
SELECT k.ord, l.item_id, l.location_id
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(tenant_id, purchase_order_id, ord)
JOIN purchase_order_line l USING (tenant_id, purchase_order_id)
ORDER BY k.ord, l.item_id, l.location_id`)

// OrderPositions returns the positions with a line in the orders. They never change: an order keeps its lines.
func OrderPositions(ctx context.Context, tx store.Tx, orders []OrderKey) (map[OrderKey][]masterdata.PositionKey, error) {
	positions := make(map[OrderKey][]masterdata.PositionKey, len(orders))
	err := pg.Each(ctx, tx, fmt.Sprintf("reading the positions of %d orders", len(orders)), orderPositions, func(row *sql.Rows) error {
		var ord int
		var k masterdata.PositionKey
		err := row.Scan(&ord, &k.Item, &k.Location)
		order := orders[ord-1]
		k.Tenant = order.Tenant
		positions[order] = append(positions[order], k)
		return err
	}, OrderColumns(orders)...)
	return positions, err
}

// The open ones, and those of the named orders, which may be closed.
var orderLines = pg.SQL(`
SELECT k.at, l.purchase_order_id, l.quantity, l.received, l.open, l.ordinal, l.sequence
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS k(tenant_id, item_id, location_id, at)
JOIN purchase_order_line l USING (tenant_id, item_id, location_id)
WHERE l.open
UNION ALL
SELECT n.at, l.purchase_order_id, l.quantity, l.received, l.open, l.ordinal, l.sequence
FROM (SELECT DISTINCT * FROM unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[])) AS n(tenant_id, purchase_order_id, item_id, location_id, at)
JOIN purchase_order_line l USING (tenant_id, purchase_order_id, item_id, location_id)
WHERE NOT l.open
ORDER BY 1, 6`)

// OrderLines returns the open lines of locked positions, and the closed ones whose orders are named, oldest first.
func OrderLines(ctx context.Context, tx store.Tx, positions []*planning.Replenishment, named map[*planning.Replenishment][]string) (map[*planning.Replenishment][]*OrderLine, error) {
	at, ofOrders := pg.NewColumns(4, len(positions)), pg.NewColumns(5, len(named))
	for i, p := range positions {
		at.Add(p.Tenant, p.Item, p.Location, i)
		for _, order := range named[p] {
			ofOrders.Add(p.Tenant, order, p.Item, p.Location, i)
		}
	}
	lines := map[*planning.Replenishment][]*OrderLine{}
	err := pg.Each(ctx, tx, fmt.Sprintf("reading the order lines of %d positions", len(positions)), orderLines, func(row *sql.Rows) error {
		var i int
		var l OrderLine
		if err := row.Scan(&i, &l.Order, &l.Quantity, &l.Received, &l.Open, &l.Ordinal, &l.Sequence); err != nil {
			return err
		}
		p := positions[i]
		l.Tenant = p.Tenant
		lines[p] = append(lines[p], &l)
		return nil
	}, append(at, ofOrders...)...)
	return lines, err
}

// CompareOrderKeys orders keys as masterdata.ComparePositionKeys does.
func CompareOrderKeys(a, b OrderKey) int {
	return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Order, b.Order))
}

// OrderColumns returns the keys as one array a column.
func OrderColumns(orders []OrderKey) pg.Columns {
	columns := pg.NewColumns(2, len(orders))
	for _, o := range orders {
		columns.Add(o.Tenant, o.Order)
	}
	return columns
}

// NumberKey identifies a series of order numbers.
type NumberKey struct {
	Tenant string
	Year   int
}

// Drawing from two series locks them in key order, lest two draws deadlock.
var drawOrderNumbers = pg.SQL(`
INSERT INTO purchase_order_number AS n (tenant_id, year, last) SELECT tenant_id, year, wanted
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS k(tenant_id, year, wanted) ORDER BY tenant_id, year
ON CONFLICT (tenant_id, year) DO UPDATE SET last = n.last + excluded.last
RETURNING tenant_id, year, last`)

// DrawOrderNumbers draws as many numbers of each series as are wanted and returns the first of each; the others follow
// it. A number drawn in a transaction that is rolled back was never visible, and is drawn again.
func DrawOrderNumbers(ctx context.Context, tx store.Tx, wanted map[NumberKey]int) (map[NumberKey]int64, error) {
	columns := pg.NewColumns(3, len(wanted))
	for k, n := range wanted {
		columns.Add(k.Tenant, k.Year, n)
	}
	first := make(map[NumberKey]int64, len(wanted))
	err := pg.Each(ctx, tx, "drawing order numbers", drawOrderNumbers, func(row *sql.Rows) error {
		var k NumberKey
		var last int64
		err := row.Scan(&k.Tenant, &k.Year, &last)
		first[k] = last - int64(wanted[k]) + 1
		return err
	}, columns...)
	return first, err
}

// NewOrder is an order of one line, and the state in which the rule asked for it.
type NewOrder struct {
	Line          *OrderLine
	Position      *planning.Replenishment
	Number        string
	Supplier      string
	UnitPrice     *event.Decimal
	Total         event.Decimal
	Currency      string
	CorrelationID string
	CreatedAt     time.Time
	// The rule's and the position's versions, and the levels, before the order.
	RuleVersion, Sequence                       int64
	Available, OnOrder, InTransit, ReorderPoint event.Decimal
}

// Kinds of bookings.
const (
	BookedOrdered   = "ORDERED"
	BookedReceived  = "RECEIVED"
	BookedCancelled = "CANCELLED"
	BookedClosed    = "CLOSED"
)

// OnOrderBooking is a change of on order at a position: Quantity was ordered, received, cancelled or closed, and
// changed OnOrder, the total after it, by Change.
type OnOrderBooking struct {
	Position   *planning.Replenishment
	Ordinal    int64
	Kind       string
	Order      string
	EventID    uuid.UUID
	Quantity   event.Decimal
	Change     event.Decimal
	OnOrder    event.Decimal
	OccurredAt time.Time
}
