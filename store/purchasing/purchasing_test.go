package purchasing_test

import (
	"strings"
	"testing"

	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/storetest"
)

// Two orders for cups: one received in part, one rejected. All of it is consistent.
var someOrders = []string{
	`INSERT INTO replenishment_state (tenant_id, item_id, location_id, on_order, bookings) VALUES ('acme', 'cup', 'shop', 20, 4)`,
	`INSERT INTO purchase_order (tenant_id, purchase_order_id, po_number, supplier_id, location_id, total_amount, priced, status, version, created_at, decided_at, decided_by) VALUES
	 ('acme', 'o-1', 'PO-2026-000001', 'smith', 'shop', 75, true, 'PENDING', 1, '2026-02-01', NULL, ''), ('acme', 'o-2', 'PO-2026-000002', 'smith', 'shop', 0, false, 'CANCELLED', 2, '2026-02-01', '2026-02-02', 'ann')`,
	`INSERT INTO purchase_order_line (tenant_id, purchase_order_id, item_id, location_id, quantity, unit_price, received, open, ordinal, rule_version, sequence, available, on_order, reorder_point) VALUES
	 ('acme', 'o-1', 'cup', 'shop', 30, 2.5, 10, true, 1, 1, 1, 9, 0, 10), ('acme', 'o-2', 'cup', 'shop', 40, NULL, 0, false, 2, 1, 2, -25, 30, 10)`,
	`INSERT INTO on_order_booking (state_id, ordinal, kind, tenant_id, purchase_order_id, event_id, quantity, change, on_order, occurred_at)
	 SELECT id, b.* FROM replenishment_state, (VALUES
	 (1, 'ORDERED', 'acme', 'o-1', '00000000-0000-4000-8000-000000000001'::uuid, 30, 30, 30, timestamptz '2026-02-01'),
	 (2, 'ORDERED', 'acme', 'o-2', '00000000-0000-4000-8000-000000000002', 40, 40, 70, '2026-02-01'),
	 (3, 'RECEIVED', 'acme', 'o-1', '00000000-0000-4000-8000-000000000003', 10, -10, 60, '2026-02-02'),
	 (4, 'CANCELLED', 'acme', 'o-2', '00000000-0000-4000-8000-000000000004', 40, -40, 20, '2026-02-02')) b`,
}

// Every inconsistency is named. Each mistake is made in a consistent copy.
func TestCheckPurchasing(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	for _, q := range someOrders {
		p.Exec(q)
	}
	check := func() string {
		wrong, err := storetest.CheckPurchasing(t.Context(), p.DB)
		storetest.Must(t, err)
		return strings.Join(wrong, "\n")
	}
	if got := check(); got != "" {
		t.Fatalf("want nothing wrong, got\n%s", got)
	}
	for _, c := range []struct{ spoil, repair, want string }{
		{`UPDATE replenishment_state SET on_order = 21`, `UPDATE replenishment_state SET on_order = 20`, "cup at shop: 21 is on order, its open lines await 20"},
		{`UPDATE replenishment_state SET bookings = 5`, `UPDATE replenishment_state SET bookings = 4`, "after 5 bookings, there are 4 and they sum to 20"},
		{`UPDATE on_order_booking SET on_order = 61 WHERE ordinal = 3`, `UPDATE on_order_booking SET on_order = 60 WHERE ordinal = 3`, "booking 3 (RECEIVED) of order o-1 does not follow"},
		{`UPDATE on_order_booking SET event_id = '00000000-0000-4000-8000-000000000001' WHERE ordinal = 2`,
			`UPDATE on_order_booking SET event_id = '00000000-0000-4000-8000-000000000002' WHERE ordinal = 2`, "one event has made two orders"},
		// Two orders for one need: the second did not know of the first.
		{`UPDATE purchase_order_line SET on_order = 0 WHERE purchase_order_id = 'o-2'`,
			`UPDATE purchase_order_line SET on_order = 30 WHERE purchase_order_id = 'o-2'`, "PO-2026-000002 (cup at shop) was made with 0 on order, it was 30"},
		{`UPDATE purchase_order_line SET ordinal = 3 WHERE purchase_order_id = 'o-2'`, `UPDATE purchase_order_line SET ordinal = 2 WHERE purchase_order_id = 'o-2'`, "it was never booked"},
		{`UPDATE purchase_order_line SET available = 11 WHERE purchase_order_id = 'o-1'`,
			`UPDATE purchase_order_line SET available = 9 WHERE purchase_order_id = 'o-1'`, "was made at the position 11, above the reorder point 10"},
		{`UPDATE purchase_order_line SET reorder_point = 39 WHERE purchase_order_id = 'o-1'`,
			`UPDATE purchase_order_line SET reorder_point = 10 WHERE purchase_order_id = 'o-1'`, "lifted the position to 39, not above the reorder point 39"},
		{`UPDATE purchase_order_line SET open = true WHERE purchase_order_id = 'o-2'`,
			`UPDATE purchase_order_line SET open = false WHERE purchase_order_id = 'o-2'`, "PO-2026-000002 (cup at shop) is open with 0 of 40 received and 0 by its bookings"},
		{`UPDATE purchase_order_line SET received = 11 WHERE purchase_order_id = 'o-1'`,
			`UPDATE purchase_order_line SET received = 10 WHERE purchase_order_id = 'o-1'`, "open with 11 of 30 received and 10 by its bookings"},
		{`UPDATE purchase_order SET total_amount = 74 WHERE purchase_order_id = 'o-1'`, `UPDATE purchase_order SET total_amount = 75 WHERE purchase_order_id = 'o-1'`, "their total is 75.000000 and not 74"},
		{`UPDATE purchase_order SET priced = true WHERE purchase_order_id = 'o-2'`, `UPDATE purchase_order SET priced = false WHERE purchase_order_id = 'o-2'`, "PO-2026-000002 has 1 lines"},
		{`UPDATE purchase_order SET decided_by = '' WHERE purchase_order_id = 'o-2'`, `UPDATE purchase_order SET decided_by = 'ann' WHERE purchase_order_id = 'o-2'`, "PO-2026-000002 is CANCELLED by no user"},
	} {
		p.Exec(c.spoil)
		if got := check(); !strings.Contains(got, c.want) {
			t.Errorf("%s\nwant %q, got\n%s", c.spoil, c.want, got)
		}
		p.Exec(c.repair)
	}
	if got := check(); got != "" {
		t.Errorf("want all repaired, got\n%s", got)
	}
}

// Positions are made when first seen, once, whatever this process believes to have seen.
func TestReplenishmentIsMadeOnFirstSight(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	var known planning.Replenishments
	var keys []masterdata.PositionKey
	for _, item := range []string{"b", "a", "c", "a"} {
		keys = append(keys, masterdata.PositionKey{Tenant: "acme", Item: item, Location: "shop"})
	}
	tx := p.OpenTx()
	locked, err := known.Lock(t.Context(), tx, keys)
	storetest.Must(t, err)
	if len(locked) != 3 || locked[keys[0]].Sequence != 0 || locked[keys[0]].RuleVersion != 0 || !locked[keys[0]].LatestAt.IsZero() {
		t.Errorf("got %d positions, %+v", len(locked), locked[keys[0]])
	}
	storetest.Must(t, tx.Rollback())
	// What a rolled back transaction made is not there: it is made again.
	tx = p.OpenTx()
	locked, err = known.Lock(t.Context(), tx, keys)
	storetest.Must(t, err)
	storetest.Must(t, tx.Commit())
	if len(locked) != 3 || storetest.Value[int](t, p.URL, `SELECT count(*) FROM replenishment_state`) != 3 {
		t.Errorf("got %d positions", len(locked))
	}
	// And a row deleted meanwhile is made anew, too.
	tx = p.OpenTx()
	storetest.MustGet(known.Lock(t.Context(), tx, keys))(t)
	storetest.Must(t, tx.Commit())
	p.Exec(`DELETE FROM replenishment_state WHERE item_id = 'b'`)
	tx = p.OpenTx()
	locked, err = known.Lock(t.Context(), tx, keys)
	storetest.Must(t, err)
	storetest.Must(t, tx.Commit())
	if len(locked) != 3 {
		t.Errorf("got %d positions", len(locked))
	}
}
