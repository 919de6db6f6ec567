package replenishment_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/replenishment"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// env is a database with a replenishment worker and many tenants.
type env struct {
	*workertest.Env
	worker  worker.Worker
	tenants atomic.Int64
}

func newEnv(t testing.TB) *env {
	return &env{Env: workertest.NewDatabaseEnv(t), worker: replenishment.New()}
}

// tenant has a shop and a supplier.
type tenant struct {
	*workertest.Env
	id     string
	worker worker.Worker
	stock  map[string]event.Decimal
	seq    map[string]int64
	day    time.Time
}

func newTenant(t testing.TB) *tenant { return newEnv(t).tenant(t) }

// tenant adds a tenant, whose failures are the subtest's.
func (w *env) tenant(t testing.TB) *tenant {
	h := &tenant{
		Env: w.For(t), id: fmt.Sprintf("tenant-%d", w.tenants.Add(1)), worker: w.worker,
		stock: map[string]event.Decimal{}, seq: map[string]int64{}, day: workertest.Day,
	}
	h.exec(`INSERT INTO supplier (tenant_id, supplier_id, lead_time_days) VALUES ($1, 'smith', 4)`)
	h.exec(`INSERT INTO location (tenant_id, location_id, kind) VALUES ($1, 'shop', 'stock')`)
	return h
}

// exec runs a statement whose first parameter is the tenant.
func (h *tenant) exec(statement string, args ...any) {
	h.Helper()
	storetest.Exec(h, h.URL, statement, append([]any{h.id}, args...)...)
}

// text reads one text; the query's first parameter is the tenant.
func (h *tenant) text(query string, args ...any) string {
	h.Helper()
	return storetest.Value[string](h, h.URL, query, append([]any{h.id}, args...)...)
}

// event makes an event of this tenant and day.
func (h *tenant) event(p event.Payload, sequence int64) event.Any {
	h.Helper()
	return workertest.Event(h, p, func(env *event.Envelope) {
		env.TenantID, env.Metadata.Sequence, env.Timestamp = h.id, sequence, h.day
	})
}

// rule sets an item's rule in the shop, and what else is written as column=value; no event is emitted.
func (h *tenant) rule(item string, columns ...string) {
	h.Helper()
	names, values, sets := []string{"tenant_id", "item_id", "location_id", "supplier_id"}, []string{"$1", "'" + item + "'", "'shop'", "'smith'"}, []string{}
	for _, c := range columns {
		name, value, _ := strings.Cut(c, "=")
		if name == "supplier_id" {
			values[3] = value
			continue
		}
		names, values = append(names, name), append(values, value)
		sets = append(sets, name+" = excluded."+name)
	}
	h.exec(`INSERT INTO item (tenant_id, item_id, unit_cost) VALUES ($1, $2, 2.5) ON CONFLICT DO NOTHING`, item)
	h.exec(`INSERT INTO replenishment_rule (` + strings.Join(names, ", ") + `) VALUES (` + strings.Join(values, ", ") + `)
		ON CONFLICT (tenant_id, item_id, location_id) DO UPDATE SET version = replenishment_rule.version + 1, ` + strings.Join(sets, ", "))
}

// moved is the ledger's event when quantity has come to the shop, or gone.
func (h *tenant) moved(item, quantity string, kind event.TransactionType, change ...func(*event.InventoryUpdated)) event.Any {
	h.Helper()
	h.stock[item] = h.stock[item].Add(workertest.Decimal(quantity))
	h.seq[item]++
	p := event.InventoryUpdated{
		ItemID: item, LocationID: "shop", OnHand: h.stock[item], Available: h.stock[item], Change: workertest.Decimal(quantity),
		TransactionID: "t", TransactionType: kind,
	}
	for _, c := range change {
		c(&p)
	}
	return h.event(p, h.seq[item])
}

func (h *tenant) sold(item, quantity string) event.Any {
	return h.moved(item, "-"+quantity, event.TransactionSale)
}

func (h *tenant) counted(item, quantity string) event.Any {
	return h.moved(item, workertest.Decimal(quantity).Sub(h.stock[item]).String(), event.TransactionCount)
}

// received is goods for an order; "" where the order is unknown.
func (h *tenant) received(item, quantity, order string) event.Any {
	return h.moved(item, quantity, event.TransactionReceipt, func(p *event.InventoryUpdated) { p.PurchaseOrderID = order })
}

// dispatched is goods that leave the depot for a location by a transfer.
func (h *tenant) dispatched(item, quantity, transfer, to string) event.Any {
	h.Helper()
	h.seq["depot "+item]++
	q := workertest.Decimal(quantity)
	return h.event(event.InventoryUpdated{
		ItemID: item, LocationID: "depot", Change: q.Neg(), TransactionID: "t", TransactionType: event.TransactionTransfer,
		TransferID: transfer, ToLocationID: to,
	}, h.seq["depot "+item])
}

// arrived is goods of a transfer that come to the shop.
func (h *tenant) arrived(item, quantity, transfer string) event.Any {
	return h.moved(item, quantity, event.TransactionTransfer, func(p *event.InventoryUpdated) { p.TransferID = transfer })
}

// strayed is goods of a transfer that come to another location.
func (h *tenant) strayed(item, quantity, transfer string) event.Any {
	h.Helper()
	h.seq["yard "+item]++
	q := workertest.Decimal(quantity)
	return h.event(event.InventoryUpdated{
		ItemID: item, LocationID: "yard", OnHand: q, Available: q, Change: q, TransactionID: "t", TransactionType: event.TransactionTransfer, TransferID: transfer,
	}, h.seq["yard "+item])
}

func (h *tenant) cancelled(order string) event.Any {
	return h.event(event.PurchaseOrderCancelled{PurchaseOrderID: order, Reason: "too dear", CancelledBy: "ann"}, 0)
}

func (h *tenant) closed(order string) event.Any {
	return h.event(event.PurchaseOrderClosed{PurchaseOrderID: order, Reason: "sold out", ClosedBy: "ann", ClosedAt: h.day}, 0)
}

func (h *tenant) ruleChanged(item string) event.Any {
	return h.event(event.RuleChanged{RuleID: "r", ItemID: item, LocationID: "shop"}, 0)
}

func (h *tenant) lowStock(item string) event.Any {
	return h.event(event.InventoryLowStock{ItemID: item, LocationID: "shop", Available: h.stock[item], Threshold: workertest.Decimal("5")}, h.seq[item])
}

func (h *tenant) forecast(item string, start event.Date, deviation string, daily ...string) event.Any {
	f := event.ForecastGenerated{
		ItemID: item, LocationID: "shop", ModelType: "BASELINE", ForecastCount: int64(len(daily)),
		StartDate: start, EndDate: start.AddDays(len(daily) - 1), ErrorStdDev: workertest.Decimal(deviation),
	}
	for _, d := range daily {
		f.DailyDemand = append(f.DailyDemand, workertest.Decimal(d))
	}
	return h.event(f, 0)
}

// handle lets the worker handle a batch and gives the orders it made.
func (h *tenant) handle(events ...event.Any) []event.PurchaseOrderCreated {
	h.Helper()
	emitted, err := workertest.Handle(h, h.DB, h.worker, events...)
	if err != nil {
		h.Fatal(err)
	}
	return ordersOf(h, emitted)
}

// ordersOf checks that each order is emitted after the trigger that asked for it, and gives the orders.
func ordersOf(t testing.TB, emitted []event.Any) (orders []event.PurchaseOrderCreated) {
	t.Helper()
	var asked event.ReplenishmentTriggered
	for _, e := range emitted {
		switch p := e.Payload.(type) {
		case event.ReplenishmentTriggered:
			asked = p
		case event.PurchaseOrderCreated:
			if asked.PurchaseOrderID != p.PurchaseOrderID || asked.ItemID != p.Lines[0].ItemID || !asked.Quantity.Equal(p.Lines[0].Quantity) {
				t.Errorf("order %s was asked for by %+v", p.PurchaseOrderID, asked)
			}
			if asked.Available.Add(asked.OnOrder).Add(asked.InTransit).Cmp(asked.ReorderPoint) > 0 {
				t.Errorf("order %s was made above the reorder point: %+v", p.PurchaseOrderID, asked)
			}
			orders = append(orders, p)
		default:
			t.Errorf("replenishment emitted %s", e.Type)
		}
	}
	return orders
}

// ordered writes orders as "30 of cup for 75, ...".
func ordered(orders []event.PurchaseOrderCreated) string {
	texts := make([]string, len(orders))
	for i, o := range orders {
		texts[i] = fmt.Sprintf("%s of %s for %s", o.Lines[0].Quantity, o.Lines[0].ItemID, o.TotalAmount)
	}
	return strings.Join(texts, ", ")
}

func (h *tenant) wantOrders(want string, events ...event.Any) []event.PurchaseOrderCreated {
	h.Helper()
	orders := h.handle(events...)
	if got := ordered(orders); got != want {
		h.Errorf("want ordered %q, got %q", want, got)
	}
	h.balances()
	return orders
}

func (h *tenant) wantOnOrder(item, want string) {
	h.Helper()
	if got := h.text(`SELECT trim_scale(on_order)::text FROM replenishment_state WHERE tenant_id = $1 AND item_id = $2 AND location_id = 'shop'`, item); got != want {
		h.Errorf("want %s of %s on order, got %s", want, item, got)
	}
}

func (h *tenant) wantInTransit(item, want string) {
	h.Helper()
	query := `SELECT trim_scale(` + planning.InTransitSQL("s") + `)::text FROM replenishment_state s WHERE s.tenant_id = $1 AND s.item_id = $2 AND s.location_id = 'shop'`
	if got := h.text(query, item); got != want {
		h.Errorf("want %s of %s in transit, got %s", want, item, got)
	}
}

// balances fails the test where orders, lines, bookings and what is on order do not add up.
func (h *tenant) balances() {
	h.Helper()
	wrong, err := storetest.CheckPurchasing(h.Context(), h.DB)
	if err != nil {
		h.Fatal(err)
	}
	for _, w := range wrong {
		h.Error(w)
	}
}
