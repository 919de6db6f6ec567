package purchasing

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

var undecided = pg.SQL(`
SELECT k.ord FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(tenant_id, purchase_order_id, ord)
JOIN purchase_order o USING (tenant_id, purchase_order_id)
WHERE o.status = 'PENDING' OR o.decision_made_at IS NOT NULL`)

// Undecided returns which of the orders are for a person to decide, or were decided by one.
func Undecided(ctx context.Context, tx store.Tx, orders []OrderKey) (map[OrderKey]bool, error) {
	found := make(map[OrderKey]bool, len(orders))
	err := pg.Each(ctx, tx, "reading which orders wait for a person", undecided, func(row *sql.Rows) error {
		var ord int
		err := row.Scan(&ord)
		if err == nil {
			found[orders[ord-1]] = true
		}
		return err
	}, OrderColumns(orders)...)
	return found, err
}

// Unbegun is an order that waits, or was decided by a person, and is no process yet.
type Unbegun struct {
	OrderKey
	CreatedEvent uuid.UUID `db:"created_event"`
	CreatedAt    time.Time `db:"created_at"`
}

// A program of the version before begins no process. Nor has one begun where a person has decided first: its instance
// has the decision alone.
var unbegun = pg.SQL(`
SELECT o.tenant_id, o.purchase_order_id, o.created_event, o.created_at FROM purchase_order o
LEFT JOIN process_instance i ON i.tenant_id = o.tenant_id AND i.process = 'approval' AND i.correlation = o.purchase_order_id
WHERE o.status = 'PENDING' AND o.created_event IS NOT NULL AND i.correlation IS NULL
UNION ALL
SELECT o.tenant_id, o.purchase_order_id, o.created_event, o.created_at FROM process_instance i
JOIN purchase_order o ON o.tenant_id = i.tenant_id AND o.purchase_order_id = i.correlation
WHERE i.process = 'approval' AND NOT i.final AND i.state = '' AND o.created_event IS NOT NULL
LIMIT $1`)

// UnbegunOrders returns orders whose PURCHASE_ORDER_CREATED approval has consumed and that are no process yet.
func UnbegunOrders(ctx context.Context, tx store.Tx, limit int) ([]Unbegun, error) {
	return pg.List[Unbegun](ctx, tx, "looking for orders that are no process yet", unbegun, limit)
}

// Escalation is what is told of an order that has waited for long.
type Escalation struct {
	OrderDecision
	Supplier string `db:"supplier_id"`
	Location string `db:"location_id"`
	Currency string `db:"currency"`
	// WaitedHours is since its process began; CancelHours is the tenant's.
	WaitedHours int64 `db:"waited_hours"`
	CancelHours int64 `db:"cancel_hours"`
}

var readEscalation = pg.SQL(`
SELECT o.tenant_id, o.purchase_order_id, o.po_number, o.status, o.version, o.total_amount, o.correlation_id, o.decided_by, o.decided_at, o.reason,
       o.created_event, clock_timestamp() AS made_at, o.created_at AS latest_at, o.supplier_id, o.location_id, o.currency,
       coalesce(extract(epoch FROM clock_timestamp() - i.begun_at)::bigint / 3600, 0) AS waited_hours, coalesce(s.approval_cancel_hours, 0) AS cancel_hours
FROM purchase_order o LEFT JOIN tenant_setting s USING (tenant_id)
LEFT JOIN process_instance i ON i.tenant_id = o.tenant_id AND i.process = 'approval' AND i.correlation = o.purchase_order_id
WHERE o.tenant_id = $1 AND o.purchase_order_id = $2`)

// ReadEscalation reads what is told of an order that has waited for long; ErrNotFound when there is none.
func ReadEscalation(ctx context.Context, tx store.Tx, order OrderKey) (Escalation, error) {
	return pg.One[Escalation](ctx, tx, "reading an order that waits", readEscalation, order.Tenant, order.Order)
}

// A tenant may change its hours while orders wait: their timers follow, but not one that has failed and is tried
// again. An order that is not as it was read, or that another transaction moves, is left to the next call.
var followTimeouts = pg.SQL(`
WITH wanted AS (
    SELECT i.tenant_id, i.process, i.correlation, i.state, n.name, i.begun_at + n.hours * interval '1 hour' AS due_at, coalesce(n.hours > 0, false) AS set
    FROM process_instance i LEFT JOIN tenant_setting s USING (tenant_id)
    CROSS JOIN LATERAL (VALUES ('escalate', CASE i.state WHEN 'waiting' THEN s.approval_escalate_hours END), ('cancel', s.approval_cancel_hours)) AS n(name, hours)
    WHERE i.process = 'approval' AND NOT i.final AND i.state IN ('waiting', 'escalated')),
changed AS (
    SELECT w.* FROM wanted w LEFT JOIN process_timer t USING (tenant_id, process, correlation, name)
    WHERE CASE WHEN w.set THEN t.name IS NULL OR t.failures = 0 AND abs(extract(epoch FROM t.due_at - w.due_at)) > 60 ELSE t.name IS NOT NULL END),
held AS (
    SELECT c.tenant_id, c.process, c.correlation, c.name, c.due_at, c.set
    FROM process_instance i JOIN changed c ON c.tenant_id = i.tenant_id AND c.process = i.process AND c.correlation = i.correlation AND c.state = i.state
    FOR UPDATE OF i SKIP LOCKED),
ended AS (
    DELETE FROM process_timer t USING held h
    WHERE t.tenant_id = h.tenant_id AND t.process = h.process AND t.correlation = h.correlation AND t.name = h.name AND NOT h.set)
INSERT INTO process_timer AS t (tenant_id, process, correlation, name, due_at)
SELECT tenant_id, process, correlation, name, due_at FROM held WHERE set
ON CONFLICT (tenant_id, process, correlation, name) DO UPDATE SET due_at = excluded.due_at`)

// FollowTimeouts has the timers of orders that wait follow their tenants' settings.
func FollowTimeouts(ctx context.Context, tx store.Tx) error {
	return pg.Write(ctx, tx, "setting timers of orders that wait", followTimeouts)
}
