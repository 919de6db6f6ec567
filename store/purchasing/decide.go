package purchasing

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// In key order, so that two of these cannot deadlock.
var approveByPolicy = pg.SQL(`
UPDATE purchase_order o SET status = 'APPROVED', version = o.version + 1, decided_at = n.at, decided_by = $4
FROM (SELECT o.tenant_id, o.purchase_order_id, n.at
      FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS n(tenant_id, purchase_order_id, at)
      JOIN purchase_order o USING (tenant_id, purchase_order_id) JOIN tenant_setting s USING (tenant_id)
      WHERE o.status = 'PENDING' AND o.priced AND o.total_amount <= s.approval_limit AND o.currency = s.currency
      ORDER BY o.tenant_id, o.purchase_order_id FOR NO KEY UPDATE OF o) n
WHERE o.tenant_id = n.tenant_id AND o.purchase_order_id = n.purchase_order_id
RETURNING o.tenant_id, o.purchase_order_id, o.version`)

// In key order, so that two of these cannot deadlock.
var noteCreated = pg.SQL(`
UPDATE purchase_order o SET created_event = n.event
FROM (SELECT o.tenant_id, o.purchase_order_id, n.event
      FROM unnest($1::text[], $2::text[], $3::uuid[]) AS n(tenant_id, purchase_order_id, event)
      JOIN purchase_order o USING (tenant_id, purchase_order_id)
      WHERE o.status = 'PENDING' AND o.created_event IS NULL
      ORDER BY o.tenant_id, o.purchase_order_id FOR NO KEY UPDATE OF o) n
WHERE o.tenant_id = n.tenant_id AND o.purchase_order_id = n.purchase_order_id`)

// NoteCreated notes of orders that wait which event told of them: a person's decision names it as its cause.
func NoteCreated(ctx context.Context, tx store.Tx, events map[OrderKey]uuid.UUID) error {
	columns := pg.NewColumns(3, len(events))
	for k, id := range events {
		columns.Add(k.Tenant, k.Order, id)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("noting the events of %d orders", len(events)), noteCreated, columns...)
}

// ApproveByPolicy approves those waiting orders whose lines all have known prices, and whose total is in the tenant's
// currency and within its approval limit. Each order is given once, with the business time of its decision. It returns
// the versions of the approved ones; the others wait, were decided already, or do not exist.
func ApproveByPolicy(ctx context.Context, tx store.Tx, orders map[OrderKey]time.Time, by string) (versions map[OrderKey]int64, err error) {
	columns := pg.NewColumns(3, len(orders))
	for k, decided := range orders {
		columns.Add(k.Tenant, k.Order, decided)
	}
	versions = map[OrderKey]int64{}
	err = pg.Each(ctx, tx, fmt.Sprintf("approving %d orders", len(orders)), approveByPolicy, func(row *sql.Rows) error {
		var k OrderKey
		var version int64
		if err := row.Scan(&k.Tenant, &k.Order, &version); err != nil {
			return err
		}
		versions[k] = version
		return nil
	}, append(columns, by)...)
	return versions, err
}

// OrderDecision is an order read in order to decide about it, locked by the transaction that read it.
type OrderDecision struct {
	OrderKey
	Number        string        `db:"po_number"`
	Status        string        `db:"status"`
	Version       int64         `db:"version"`
	Total         event.Decimal `db:"total_amount"`
	CorrelationID string        `db:"correlation_id"`
	DecidedBy     string        `db:"decided_by"`
	DecidedAt     *time.Time    `db:"decided_at"`
	Reason        string        `db:"reason"`
	// LatestAt is the latest business time known of the order's positions.
	LatestAt time.Time `db:"latest_at"`
	// MadeAt is the moment of reading, by the database's clock: that of the decision.
	MadeAt time.Time `db:"made_at"`
	// CreatedEvent is the event that told of the order, where it is known.
	CreatedEvent uuid.NullUUID `db:"created_event"`
}

var lockOrder = pg.SQL(`
SELECT o.tenant_id, o.purchase_order_id, o.po_number, o.status, o.version, o.total_amount, o.correlation_id, o.decided_by, o.decided_at, o.reason,
       o.created_event, clock_timestamp() AS made_at,
       greatest(o.created_at, (SELECT max(s.latest_at) FROM purchase_order_line l JOIN replenishment_state s USING (tenant_id, item_id, location_id)
                               WHERE l.tenant_id = o.tenant_id AND l.purchase_order_id = o.purchase_order_id)) AS latest_at
FROM purchase_order o WHERE o.tenant_id = $1 AND o.purchase_order_id = $2
FOR NO KEY UPDATE OF o`)

// LockOrder reads and locks an order for a decision; ErrNotFound when there is none.
func LockOrder(ctx context.Context, tx store.Tx, order OrderKey) (OrderDecision, error) {
	return pg.One[OrderDecision](ctx, tx, fmt.Sprintf("reading order %s", order.Order), lockOrder, order.Tenant, order.Order)
}

var decideOrder = pg.SQL(`
UPDATE purchase_order SET status = $3, version = $4, decided_at = $5, decided_by = $6, reason = $7, decision_made_at = $8
WHERE tenant_id = $1 AND purchase_order_id = $2`)

// DecideOrder writes the status, version, times, author and reason of a decision about an order that this transaction
// has locked.
func DecideOrder(ctx context.Context, tx store.Tx, d OrderDecision) error {
	return pg.Write(ctx, tx, fmt.Sprintf("deciding about order %s", d.Order), decideOrder, d.Tenant, d.Order, d.Status, d.Version, d.DecidedAt, d.DecidedBy, d.Reason, d.MadeAt)
}
