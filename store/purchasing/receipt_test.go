package purchasing_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/findings"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/storetest"
)

// A receipt names its order by id or number in any case, or by the supplier's reference; a name that means none or
// several is left as it is, and named.
func TestReceiptsNameOrders(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	for _, q := range someOrders {
		p.Exec(q)
	}
	p.Exec(`INSERT INTO purchase_order_line (tenant_id, purchase_order_id, item_id, location_id, quantity, ordinal, rule_version, sequence, available, on_order, reorder_point)
		VALUES ('acme', 'o-2', 'jug', 'shop', 1, 1, 1, 1, 0, 0, 0)`)
	p.Exec(`INSERT INTO dispatch (tenant_id, purchase_order_id, supplier_reference) VALUES ('acme', 'o-1', 'Smith 77'), ('acme', 'o-2', 'Smith 77'), ('acme', 'o-3', ''), ('other', 'o-9', 'S9')`)
	p.Exec(`INSERT INTO stock (tenant_id, item_id, location_id, on_hand, reserved, available, sequence, last_movement_at, last_movement_type)
		VALUES ('acme', 'cup', 'shop', 1, 0, 1, 1, '2026-03-01Z', 'SALE')`)
	p.Exec(`INSERT INTO event_log (seq, epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
		VALUES (1, 1, false, '2026-02-20Z', gen_random_uuid(), 'acme', 'INVENTORY_UPDATED', '1.0', 'a', '', ''), (2, 1, false, '2026-01-20Z', gen_random_uuid(), 'acme', 'INVENTORY_UPDATED', '1.0', 'a', '', '')`)
	var wantProblems []string
	for _, c := range []struct{ item, name, means, problem string }{
		{"cup", "o-1", "o-1", ""}, {"cup", "O-1", "o-1", ""}, {"cup", "PO-2026-000001", "o-1", ""}, {"cup", "po-2026-000002", "o-2", ""},
		{"jug", "Smith 77", "o-2", ""},
		{"cup", "Smith 77", "", "which 2 orders with such a line match"},
		{"cup", "PO-2026-000003", "", "which nothing matches"},
		{"cup", "smith 77", "", "which nothing matches"},
		{"cup", "S9", "", "which nothing matches"},
		{"jug", "PO-2026-000001", "", "which has no line for this item and location"},
		{"jug", "o-1", "", "which has no line for this item and location"},
	} {
		key := storetest.PositionKey(c.item, "shop")
		key.Tenant = "acme"
		name := purchasing.ReceiptName{PositionKey: key, Order: c.name}
		var ids map[purchasing.ReceiptName]string
		storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) (err error) {
			ids, err = purchasing.NamedOrders(t.Context(), tx, []purchasing.ReceiptName{name})
			return err
		}))
		if ids[name] != c.means {
			t.Errorf("%s for %s means %q, want %q", c.name, c.item, ids[name], c.means)
		}
		order := c.name
		if c.means != "" {
			order = c.means
		} else {
			wantProblems = append(wantProblems, "acme "+c.item+" shop: a receipt of 3 names order "+c.name+", "+c.problem)
		}
		for seq := range 2 { // the second is too old for the doctor
			p.Exec(`INSERT INTO stock_receipt (tenant_id, item_id, location_id, event_id, log_seq, position_seq, purchase_order_id, quantity)
				VALUES ('acme', $1, 'shop', gen_random_uuid(), $3, 1, $2, 3.0)`, c.item, order, seq+1)
		}
	}
	found, err := findings.List(t.Context(), p.DB)
	storetest.Must(t, err)
	var got []string
	for _, f := range found {
		if !f.Recent {
			continue
		}
		got = append(got, f.Tenant+" "+f.Item+" "+f.Location+": "+f.Problem)
	}
	slices.Sort(got)
	slices.Sort(wantProblems)
	if !slices.Equal(got, wantProblems) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wantProblems, "\n"))
	}
}
