package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/store/storetest"
)

// seedOrders writes four orders of tenant t3, and one of t4 that has the number of another.
const seedOrders = `
INSERT INTO item (tenant_id, item_id, name) VALUES ('t3', 'cup', 'A cup');
INSERT INTO supplier (tenant_id, supplier_id, name, lead_time_days) VALUES ('t3', 'smith', 'Smith & Sons', 4);
INSERT INTO purchase_order (tenant_id, purchase_order_id, po_number, supplier_id, location_id, total_amount, priced, status, version, created_at, decided_at, decided_by, reason) VALUES
 ('t3', 'o-1', 'PO-2026-000001', 'smith', 'LON', 75,     true,  'APPROVED',  2, '2026-02-01 09:00Z', '2026-02-01 09:00Z', 'policy', ''),
 ('t3', 'o-2', 'PO-2026-000002', 'smith', 'LON', 77.345, true,  'PENDING',   1, '2026-02-02 09:00Z', NULL, '', ''),
 ('t3', 'o-3', 'PO-2026-000003', 'jones', 'PAR', 0,      false, 'PENDING',   1, '2026-02-03 09:00Z', NULL, '', ''),
 ('t3', 'o-4', 'PO-2026-000004', 'smith', 'LON', 5,      true,  'CANCELLED', 2, '2026-02-04 09:00Z', '2026-02-05 08:00Z', 'bob', 'too dear'),
 ('t4', 'o-5', 'PO-2026-000001', 'smith', 'LON', 5,      true,  'PENDING',   1, '2026-02-05 09:00Z', NULL, '', '');
INSERT INTO purchase_order_line (tenant_id, purchase_order_id, item_id, location_id, quantity, unit_price, received, open, ordinal, rule_version, sequence, available, on_order, reorder_point) VALUES
 ('t3', 'o-1', 'cup', 'LON', 30, 2.5,  34, false, 1, 1, 7, 9.5, 0, 10),
 ('t3', 'o-2', 'cup', 'LON', 31, 2.495, 0, true,  4, 2, 9, -20, 0, 10),
 ('t3', 'o-3', 'jug', 'PAR', 12, NULL, 0,  true,  1, 1, 1, 0, 0, 4),
 ('t3', 'o-4', 'cup', 'LON', 2,  2.5,  2,  false, 5, 2, 9, 10, 31, 41),
 ('t4', 'o-5', 'cup', 'LON', 2,  2.5,  0,  true,  1, 1, 1, 0, 0, 1);
INSERT INTO replenishment_state (tenant_id, item_id, location_id, on_order, bookings) VALUES ('t3', 'cup', 'LON', 31, 7), ('t3', 'jug', 'PAR', 12, 1), ('t4', 'cup', 'LON', 2, 1);
INSERT INTO on_order_booking (state_id, ordinal, kind, tenant_id, purchase_order_id, event_id, quantity, change, on_order, occurred_at)
SELECT s.id, b.ordinal, b.kind, b.tenant_id, b.order_id, gen_random_uuid(), b.quantity, b.change, b.on_order, b.at
FROM replenishment_state s JOIN (VALUES
 ('t3', 'cup', 1, 'ORDERED',   'o-1', 30, 30,  30, timestamptz '2026-02-01 09:00Z'),
 ('t3', 'cup', 2, 'RECEIVED',  'o-1', 20, -20, 10, timestamptz '2026-02-02 08:00Z'),
 ('t3', 'cup', 3, 'RECEIVED',  'o-1', 14, -10, 0,  timestamptz '2026-02-02 08:30Z'),
 ('t3', 'cup', 4, 'ORDERED',   'o-2', 31, 31,  31, timestamptz '2026-02-02 09:00Z'),
 ('t3', 'cup', 5, 'ORDERED',   'o-4', 2,  2,   33, timestamptz '2026-02-04 09:00Z'),
 ('t3', 'cup', 6, 'CANCELLED', 'o-4', 2,  -2,  31, timestamptz '2026-02-05 08:00Z'),
 ('t3', 'cup', 7, 'RECEIVED',  'o-4', 2,  0,   31, timestamptz '2026-02-06 08:00Z'),
 ('t3', 'jug', 1, 'ORDERED',   'o-3', 12, 12,  12, timestamptz '2026-02-03 09:00Z'),
 ('t4', 'cup', 1, 'ORDERED',   'o-5', 2,  2,   2,  timestamptz '2026-02-05 09:00Z')
) b (tenant_id, item_id, ordinal, kind, order_id, quantity, change, on_order, at) USING (tenant_id, item_id);
INSERT INTO dispatch (tenant_id, purchase_order_id, supplier_id, request, approved_at, attempts, sent_at, answer_status, supplier_reference, promised_date)
VALUES ('t3', 'o-1', 'smith', '{}', '2026-02-01 09:00Z', 1, '2026-02-01 09:00:01Z', 200, 'S-77', '2026-02-05')`

func TestPurchaseOrders(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	storetest.Exec(t, url, seedOrders)
	if wrong, err := storetest.CheckPurchasing(t.Context(), storetest.Open(t, url, 1)); err != nil || len(wrong) > 0 {
		t.Fatalf("the seed does not add up: %v, %v", wrong, err)
	}
	for _, c := range []struct {
		args string
		code int
		says []string // in what is shown, or else in what is said
		not  string
	}{
		{"list", exit.OK, []string{"PO-2026-000001", "PO-2026-000004"}, ""},
		{"list --tenant t3 --status pending", exit.OK, []string{"PO-2026-000002", "PO-2026-000003", "not known", "77.345"}, "PO-2026-000001"},
		{"list --status approved", exit.OK, []string{"PO-2026-000001", "75.00", "policy", "sent"}, "PO-2026-000002"},
		{"list --supplier jones", exit.OK, []string{"PO-2026-000003"}, "smith"},
		{"list --item jug", exit.OK, []string{"PO-2026-000003"}, "cup"},
		{"list --location PAR", exit.OK, []string{"PO-2026-000003"}, "LON"},
		{"list --limit 2", exit.OK, []string{"PO-2026-000004", "the newest 2; --limit 0 shows all"}, "PO-2026-000002"},
		{"list --status lost", exit.WrongUsage, []string{"want pending, approved or cancelled"}, ""},
		{"list --limit -1", exit.WrongUsage, []string{"want 0 or more"}, ""},
		{"show PO-2026-000004", exit.OK, []string{"rejected by bob: too dear", "10 available + 31 on order <= 41", "nothing was awaited any more"}, ""},
		{"show o-1", exit.OK, []string{"S-77", "2026-02-05", "4 more than awaited", "approved by policy", "A cup", "Smith & Sons"}, ""},
		{"show o-3", exit.OK, []string{"not known"}, "approved"},
		{"show PO-2026-000001", exit.WrongUsage, []string{"is an order of t4 and of t3: say which by --tenant"}, ""},
		{"show PO-2026-000001 --tenant t4", exit.OK, []string{"o-5"}, ""},
		{"show", exit.WrongUsage, []string{"name one order"}, ""},
		{"show o-1 o-2", exit.WrongUsage, []string{"name one order"}, ""},
		{"show o-99", exit.WrongUsage, []string{`no order "o-99"`}, ""},
		{"show o-1 --tenant t4", exit.WrongUsage, []string{`tenant t4 has no order "o-1"`}, ""},
		{"approve", exit.WrongUsage, []string{"po list --status pending"}, ""},
		{"reject o-2", exit.WrongUsage, []string{"--reason is missing"}, ""},
		{"approve o-4 --operator ann", exit.Failure, []string{"PO-2026-000004 was rejected by bob: too dear"}, ""},
		{"approve o-99 --operator ann", exit.WrongUsage, []string{`no order "o-99"`}, ""},
	} {
		r := command(t, append(append([]string{"po"}, strings.Fields(c.args)...), "--database-url", url)...)
		if r.code != c.code {
			t.Errorf("po %s: exit %d, want %d: %s", c.args, r.code, c.code, r.errors)
		}
		for _, want := range c.says {
			if !strings.Contains(r.out+r.errors, want) {
				t.Errorf("po %s: want %q in\n%s%s", c.args, want, r.out, r.errors)
			}
		}
		if c.not != "" && strings.Contains(r.out, c.not) {
			t.Errorf("po %s: want no %q in\n%s", c.args, c.not, r.out)
		}
	}
}

// Several at once: each is decided for itself, and of each it is said what became of it.
func TestDecidingAboutSeveralOrders(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	storetest.Exec(t, url, seedOrders)
	r := command(t, "po", "approve", "o-2", "PO-2026-000004", "o-99", "o-3", "--operator", "ann", "--database-url", url)
	if r.code != exit.Failure || !strings.Contains(r.out, "PO-2026-000002") || !strings.Contains(r.out, "PO-2026-000003") {
		t.Errorf("exit %d\n%s", r.code, r.out)
	}
	for _, want := range []string{"PO-2026-000004: PO-2026-000004 was rejected by bob: too dear", `o-99: no order "o-99"`, "2 of 4 orders were not approved"} {
		if !strings.Contains(r.errors, want) {
			t.Errorf("want %q in\n%s", want, r.errors)
		}
	}
	if got := storetest.Value[string](t, url, `SELECT string_agg(status || ' ' || decided_by, ', ' ORDER BY purchase_order_id) FROM purchase_order WHERE purchase_order_id IN ('o-2', 'o-3')`); got != "APPROVED ann, APPROVED ann" {
		t.Errorf("got %s", got)
	}
	if got := storetest.Value[string](t, url, `SELECT string_agg(type || ' ' || aggregate_id || ' ' || occurred_at::date, ', ' ORDER BY seq) FROM event_log`); got != "PURCHASE_ORDER_APPROVED o-2 2026-02-02, PURCHASE_ORDER_APPROVED o-3 2026-02-03" {
		t.Errorf("got %s", got)
	}
	r = command(t, "po", "reject", "o-5", "o-2", "--reason", "no room", "--operator", "ann", "-o", "json", "--database-url", url)
	var said []struct{ Order, PONumber, Status, DecidedBy, Error string }
	if err := json.Unmarshal([]byte(r.out), &said); err != nil || r.code != exit.Failure {
		t.Fatalf("exit %d, %v\n%s", r.code, err, r.out)
	}
	if len(said) != 2 || said[0].Status != "CANCELLED" || said[0].Error != "" || said[1].Error != "PO-2026-000002 was approved by ann" || said[1].DecidedBy != "ann" {
		t.Errorf("got %+v", said)
	}
}
