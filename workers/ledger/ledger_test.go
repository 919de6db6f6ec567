package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/ledger"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// say writes an emitted event as a line: "shop -2 = 8 SALE", or "shop low 4 < 5".
func say(t *testing.T, e event.Any) string {
	t.Helper()
	switch p := e.Payload.(type) {
	case event.InventoryUpdated:
		return fmt.Sprintf("%s %s = %s %s", p.LocationID, p.Change, p.OnHand, p.TransactionType)
	case event.InventoryLowStock:
		return fmt.Sprintf("%s low %s < %s", p.LocationID, p.Available, p.Threshold)
	}
	t.Fatalf("the ledger said %s", e.Type)
	return ""
}

// onHand gives the positions of an item as "shop 8, @customer 2", in the order of their making.
func onHand(t *testing.T, url, item string) string {
	t.Helper()
	return storetest.Value[string](t, url, `
		SELECT coalesce(string_agg(location_id || ' ' || on_hand, ', ' ORDER BY location_id), '') FROM position WHERE item_id = $1`, item)
}

// wantBalance checks what must hold whatever happened: the movements of each
// item sum to zero, and each position is the sum and the count of its movements.
func wantBalance(t *testing.T, url string) {
	t.Helper()
	wrong := storetest.Value[string](t, url, `
		SELECT coalesce(string_agg(what, '; '), '') FROM (
			SELECT item_id || ' sums to ' || sum(m.quantity) AS what FROM movement m JOIN position p ON p.id = m.position_id
			GROUP BY tenant_id, item_id HAVING sum(m.quantity) <> 0
			UNION ALL
			SELECT item_id || ' at ' || location_id || ' is not its movements' FROM position p
			LEFT JOIN LATERAL (SELECT coalesce(sum(quantity), 0) AS total, count(*) AS n, coalesce(max(sequence), 0) AS last,
				(array_agg(m.on_hand ORDER BY sequence DESC))[1] AS after FROM movement m WHERE m.position_id = p.id) m ON true
			WHERE m.total <> p.on_hand OR m.n <> p.sequence OR m.last <> p.sequence OR m.after <> p.on_hand
		) x`)
	if wrong != "" {
		t.Errorf("the ledger does not balance: %s", wrong)
	}
}

func TestWhatHappensToStock(t *testing.T) {
	t.Parallel()
	type events = []event.Any
	sale := func(quantity string) event.Any { return workertest.Sale(t, "cup", "shop", quantity) }
	receipt := func(quantity string) event.Any { return workertest.Receipt(t, "cup", "shop", quantity) }
	count := func(quantity string) event.Any { return workertest.Count(t, "cup", "shop", quantity) }
	twice := sale("3")
	for name, c := range map[string]struct {
		threshold string
		before    events // a batch of its own, whose words do not matter
		events    events
		said      string
		stock     string
	}{
		"a sale": {events: events{sale("2")},
			said: "shop -2 = -2 SALE", stock: "@customer 2, shop -2"},
		"a return": {events: events{sale("-2")},
			said: "shop 2 = 2 RETURN", stock: "@customer -2, shop 2"},
		"a receipt from a supplier": {events: events{receipt("10")},
			said: "shop 10 = 10 RECEIPT", stock: "@supplier -10, shop 10"},
		"a transfer and its arrival": {before: events{receipt("10")},
			events: events{workertest.Transfer(t, "cup", "shop", "store", "4"), workertest.Arrival(t, "cup", "store", "4", "transfer-1")},
			said:   "shop -4 = 6 TRANSFER; store 4 = 4 TRANSFER", stock: "@supplier -10, @transit 0, shop 6, store 4"},
		"a transfer in transit": {events: events{workertest.Transfer(t, "cup", "shop", "store", "4")},
			said: "shop -4 = -4 TRANSFER", stock: "@transit 4, shop -4"},
		"a loss": {before: events{receipt("10")}, events: events{workertest.Adjustment(t, "cup", "shop", "-1")},
			said: "shop -1 = 9 ADJUSTMENT", stock: "@loss 1, @supplier -10, shop 9"},
		"a find": {events: events{workertest.Adjustment(t, "cup", "shop", "1.5")},
			said: "shop 1.5 = 1.5 ADJUSTMENT", stock: "@loss -1.5, shop 1.5"},
		"a count that finds less": {before: events{receipt("10")}, events: events{count("7")},
			said: "shop -3 = 7 COUNT", stock: "@loss 3, @supplier -10, shop 7"},
		"a count that finds what is there": {before: events{receipt("10")}, events: events{count("10")},
			said: "shop 0 = 10 COUNT", stock: "@loss 0, @supplier -10, shop 10"},
		"a count of stock that was sold and never seen": {before: events{sale("5")}, events: events{count("0")},
			said: "shop 5 = 0 COUNT", stock: "@customer 5, @loss -5, shop 0"},
		"the order within a batch": {events: events{receipt("10"), sale("4"), count("5"), sale("1")},
			said:  "shop 10 = 10 RECEIPT; shop -4 = 6 SALE; shop -1 = 5 COUNT; shop -1 = 4 SALE",
			stock: "@customer 5, @loss 1, @supplier -10, shop 4"},
		"exact sums": {events: events{sale("0.1"), sale("0.2"), sale("-0.3")},
			said: "shop -0.1 = -0.1 SALE; shop -0.2 = -0.3 SALE; shop 0.3 = 0 RETURN", stock: "@customer 0, shop 0"},
		"the same sale twice in a batch": {events: events{twice, twice},
			said: "shop -3 = -3 SALE", stock: "@customer 3, shop -3"},
		"the same sale again": {before: events{twice}, events: events{twice},
			said: "", stock: "@customer 3, shop -3"},

		"low stock, once": {threshold: "5", before: events{receipt("10")}, events: events{sale("5"), sale("1"), sale("1")},
			said: "shop -5 = 5 SALE; shop -1 = 4 SALE; shop low 4 < 5; shop -1 = 3 SALE", stock: "@customer 7, @supplier -10, shop 3"},
		"low stock, said before": {threshold: "5", before: events{receipt("4")}, events: events{sale("1")},
			said: "shop -1 = 3 SALE", stock: "@customer 1, @supplier -4, shop 3"},
		"low stock, armed again at the threshold": {threshold: "5", before: events{receipt("4")}, events: events{receipt("1"), sale("1")},
			said: "shop 1 = 5 RECEIPT; shop -1 = 4 SALE; shop low 4 < 5", stock: "@customer 1, @supplier -5, shop 4"},
		"low stock, not armed below it": {threshold: "5", before: events{receipt("3")}, events: events{receipt("1.9"), sale("1")},
			said: "shop 1.9 = 4.9 RECEIPT; shop -1 = 3.9 SALE", stock: "@customer 1, @supplier -4.9, shop 3.9"},
		"low stock, three crossings in a batch": {threshold: "5", before: events{receipt("10")},
			events: events{sale("6"), receipt("6"), sale("9"), count("5"), workertest.Adjustment(t, "cup", "shop", "-1")},
			said: "shop -6 = 4 SALE; shop low 4 < 5; shop 6 = 10 RECEIPT; shop -9 = 1 SALE; shop low 1 < 5; " +
				"shop 4 = 5 COUNT; shop -1 = 4 ADJUSTMENT; shop low 4 < 5",
			stock: "@customer 15, @loss -3, @supplier -16, shop 4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.URL(t)
			db := storetest.Open(t, url, 2)
			if c.threshold != "" {
				key := masterdata.PositionKey{Tenant: workertest.Tenant, Item: "cup", Location: "shop"}
				watches(t, db, key, c.threshold)
			}
			if c.before != nil {
				handle(t, db, c.before...)
			}
			var said []string
			for _, e := range handle(t, db, c.events...) {
				said = append(said, say(t, e))
			}
			if got := strings.Join(said, "; "); got != c.said {
				t.Errorf("want said\n  %s, got\n  %s", c.said, got)
			}
			if got := onHand(t, url, "cup"); got != c.stock {
				t.Errorf("want stock\n  %s, got\n  %s", c.stock, got)
			}
			wantBalance(t, url)
		})
	}
}

// watches sets the low-stock threshold of a position.
func watches(t *testing.T, db *store.DB, k masterdata.PositionKey, threshold string) {
	t.Helper()
	least := workertest.Decimal(threshold)
	if _, err := masterdata.SetRules(t.Context(), db, []masterdata.Rule{{Tenant: k.Tenant, Item: k.Item, Location: k.Location, LowStockThreshold: &least}}, workertest.Day); err != nil {
		t.Fatal(err)
	}
}

func handle(t *testing.T, db *store.DB, events ...event.Any) []event.Any {
	t.Helper()
	said, err := workertest.Handle(t, db, ledger.New(), events...)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// No event may name one of the ledger's own locations; the batch is refused whole,
// and the harness finds the culprit by handling it one by one.
func TestVirtualLocationsAreRefused(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	for _, e := range []event.Any{
		workertest.Sale(t, "cup", "@customer", "1"), workertest.Receipt(t, "cup", "@supplier", "1"), workertest.Count(t, "cup", "@loss", "1"),
		workertest.Adjustment(t, "cup", "@", "1"), workertest.Transfer(t, "cup", "@transit", "shop", "1"), workertest.Transfer(t, "cup", "shop", "@customer", "1"),
	} {
		if _, err := workertest.Handle(t, db, ledger.New(), workertest.Sale(t, "cup", "shop", "1"), e); !errors.Is(err, worker.ErrRejected) {
			t.Errorf("%s: want a rejection, got %v", e.Body, err)
		}
	}
	if got := onHand(t, url, "cup"); got != "" {
		t.Errorf("want nothing moved, got %s", got)
	}
}

// A receipt's order is emitted by its id, however the warehouse names it; a name that means none stays.
func TestAReceiptNamesItsOrder(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	const id = "0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a3d"
	storetest.Exec(t, url, `INSERT INTO purchase_order (tenant_id, purchase_order_id, po_number, supplier_id, location_id, total_amount, priced, status, created_at)
		VALUES ($1, $2, 'PO-2026-000001', 's', 'shop', 0, false, 'PENDING', now())`, workertest.Tenant, id)
	storetest.Exec(t, url, `INSERT INTO purchase_order_line (tenant_id, purchase_order_id, item_id, location_id, quantity, ordinal, rule_version, sequence, available, on_order, reorder_point)
		VALUES ($1, $2, 'cup', 'shop', 5, 1, 1, 1, 0, 0, 0)`, workertest.Tenant, id)
	names := []string{id, strings.ToUpper(id), "po-2026-000001", "PO-2026-000009", ""}
	var receipts []event.Any
	for _, name := range names {
		receipts = append(receipts, workertest.Event(t, event.ReceiptCompleted{
			ReceiptID: "r", ItemID: "cup", LocationID: "shop", Quantity: workertest.Decimal("1"), PurchaseOrderID: name, Timestamp: workertest.Day,
		}))
	}
	var got []string
	for _, e := range handle(t, db, receipts...) {
		got = append(got, e.Payload.(event.InventoryUpdated).PurchaseOrderID)
	}
	if want := []string{id, id, id, "PO-2026-000009", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Stock beyond what an event can say: the movement that leads there is refused, and nothing of it stays.
func TestStockThatNoEventCanSay(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	const most = "999999999999999"
	handle(t, db, workertest.Receipt(t, "cup", "shop", most))
	if _, err := workertest.Handle(t, db, ledger.New(), workertest.Sale(t, "jug", "shop", "1"), workertest.Receipt(t, "cup", "shop", "1")); !errors.Is(err, worker.ErrRejected) {
		t.Errorf("want a rejection, got %v", err)
	}
	if got := onHand(t, url, "cup"); got != "@supplier -"+most+", shop "+most {
		t.Errorf("want the stock as it was, got %s", got)
	}
	wantBalance(t, url)
}

// The inbox may have forgotten an event; its movements have not.
func TestWhatHasMovedAlreadyMovesNoMore(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	old, fresh := workertest.Sale(t, "cup", "shop", "2"), workertest.Sale(t, "cup", "shop", "3")
	handle(t, db, old)
	storetest.Exec(t, url, `DELETE FROM inbox`)
	said := handle(t, db, old, fresh)
	if len(said) != 1 || said[0].Metadata.CausationID != fresh.ID.String() {
		t.Errorf("want one event, of the new sale, got %d", len(said))
	}
	if got := onHand(t, url, "cup"); got != "@customer 5, shop -5" {
		t.Errorf("want both sales once, got %s", got)
	}
	wantBalance(t, url)
}

func TestItemsAndLocationsAreMadeOnFirstSight(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	named := event.SaleCompleted{
		SaleID: "s", ItemID: "cup", LocationID: "shop", Quantity: workertest.Decimal("1"), Amount: workertest.Decimal("1"), ItemName: "Cup, blue", Timestamp: workertest.Day,
	}
	renamed := named
	renamed.ItemName = "Cup, red"
	handle(t, db, workertest.Event(t, named))
	handle(t, db, workertest.Event(t, renamed), workertest.Sale(t, "saucer", "shop", "1"))
	items := storetest.Value[string](t, url, `SELECT string_agg(item_id || '=' || name, ', ' ORDER BY item_id) FROM item WHERE incomplete`)
	if items != "cup=Cup, blue, saucer=" {
		t.Errorf("want both items, incomplete, with the first name that was said, got %s", items)
	}
	locations := storetest.Value[string](t, url, `SELECT string_agg(location_id || '=' || kind, ', ' ORDER BY location_id) FROM location`)
	if locations != "@customer=customer, shop=stock" {
		t.Errorf("got the locations %s", locations)
	}
}

// Tenants share nothing, not even where everything has the same name.
func TestTenantsDoNotMix(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	for _, tenant := range []string{"a", "b"} {
		handle(t, db, workertest.Event(t, event.StockCounted{CountID: "c", ItemID: "cup", LocationID: "shop", Quantity: workertest.Decimal("3")},
			func(env *event.Envelope) { env.TenantID = tenant }))
	}
	if got := storetest.Value[string](t, url, `SELECT string_agg(tenant_id || ' ' || on_hand, ', ' ORDER BY tenant_id) FROM position WHERE location_id = 'shop'`); got != "a 3, b 3" {
		t.Errorf("got %s", got)
	}
	wantBalance(t, url)
}

func TestPositionsHaveDifferentIDs(t *testing.T) {
	t.Parallel()
	ids := []string{}
	for _, k := range []masterdata.PositionKey{{Tenant: "a", Item: "b", Location: "c"}, {Tenant: "ab", Item: "", Location: "c"}, {Tenant: "a", Item: "bc", Location: ""}} {
		ids = append(ids, ledger.PositionID(k))
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 3 {
		t.Errorf("two positions have one id: %v", ids)
	}
}

// History moves stock without a word of low stock; the next event finds it low.
func TestHistoryReportsNoLowStock(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	watches(t, db, masterdata.PositionKey{Tenant: workertest.Tenant, Item: "cup", Location: "shop"}, "5")
	handle(t, db, workertest.Receipt(t, "cup", "shop", "10"))
	said := handle(t, db, workertest.History(t, workertest.Sale(t, "cup", "shop", "6")))
	if len(said) != 1 || say(t, said[0]) != "shop -6 = 4 SALE" || !said[0].Metadata.History {
		t.Errorf("history was answered by %d events", len(said))
	}
	said = handle(t, db, workertest.Sale(t, "cup", "shop", "1"))
	if len(said) != 2 || say(t, said[1]) != "shop low 3 < 5" || said[1].Metadata.History {
		t.Errorf("the sale after it was answered by %d events", len(said))
	}
	wantBalance(t, url)
}
