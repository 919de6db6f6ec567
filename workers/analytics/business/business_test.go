package business_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/analytics/business"
	"github.com/composerp/composerp/workers/worker/workertest"
	"github.com/composerp/composerp/workers/worker/workertest/logs"
)

// stock gives an item of the shop a rule with a threshold of 5, and that much on hand.
func stock(p *storetest.Env, tenant, item string, onHand int64) {
	p.Helper()
	key := masterdata.PositionKey{Tenant: tenant, Item: item, Location: "shop"}
	storetest.Must(p, p.InTx(context.Background(), func(tx store.Tx) error {
		_, err := ledger.LockPositions(context.Background(), tx, []masterdata.PositionKey{key}, nil)
		return err
	}))
	p.Exec(`UPDATE position SET on_hand = $1 WHERE tenant_id = $2 AND item_id = $3`, onHand, tenant, item)
	threshold := event.NewDecimal(5)
	storetest.MustGet(masterdata.SetRules(context.Background(), p.DB, []masterdata.Rule{{Tenant: tenant, Item: item, Location: "shop", LowStockThreshold: &threshold}}, storetest.Morning))(p)
}

// What waits is counted over all tenants where the chore runs, and nowhere else.
func TestWhatTheWorkComesTo(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	stock(p, "north", "cup", 0)
	stock(p, "north", "tea", 3)
	stock(p, "south", "cup", 10)
	stock(p, "south", "ink", -2)
	for i, status := range []string{"PENDING", "APPROVED", "APPROVED", "CANCELLED"} {
		p.Exec(`INSERT INTO purchase_order (tenant_id, purchase_order_id, po_number, supplier_id, location_id, total_amount, priced, status, created_at)
		        VALUES ('north', $1, $1, 'smith', 'shop', 75, true, $2, '2026-02-01')`, string(rune('a'+i)), status)
		p.Exec(`INSERT INTO purchase_order_line (tenant_id, purchase_order_id, item_id, location_id, quantity, ordinal, rule_version, sequence, available, on_order, reorder_point)
		        VALUES ('north', $1, 'cup', 'shop', 30, 1, 1, 1, 9, 0, 10)`, string(rune('a'+i)))
	}
	// Four days of demand, and a forecast that is off by one each day: the naive one is right on two of the days.
	p.Exec(`INSERT INTO demand_calendar (tenant_id, location_id, open_day, last_run) VALUES ('north', 'shop', '2026-02-09', '2026-02-05')`)
	p.Exec(`INSERT INTO demand SELECT 'north', 'shop', 'cup', date '2026-01-29' + n, 4 + n % 2, 0 FROM generate_series(0, 10) n`)
	p.Exec(`INSERT INTO forecast (tenant_id, location_id, item_id, start_day, method, daily, error_std_dev) VALUES ('north', 'shop', 'cup', '2026-02-05', 'SES', '{4.5,4.5,4.5,4.5,4.5}', 1)`)

	leading, other, kept := prometheus.NewRegistry(), prometheus.NewRegistry(), &logs.Kept{}
	measures := business.New(leading, p.DB, kept.Logger())
	business.New(other, p.DB, kept.Logger())
	if got := workertest.Metric(t, leading, "composerp_stock_positions", "state", "out"); got != -1 {
		t.Errorf("before anything was measured: %v", got)
	}
	measures.Chore(t.Context())
	for _, c := range []struct {
		name, label, value string
		want               float64
	}{
		{"composerp_stock_positions", "state", "watched", 4}, {"composerp_stock_positions", "state", "low", 3}, {"composerp_stock_positions", "state", "out", 2},
		{"composerp_purchase_orders", "state", "waiting", 1}, {"composerp_purchase_orders", "state", "unsent", 2}, {"composerp_purchase_orders", "state", "sent", 0},
		{"composerp_forecast_rmsse", "kind", "forecast", 0.5}, {"composerp_forecast_rmsse", "kind", "naive", math.Sqrt2 / 2},
	} {
		if got := workertest.Metric(t, leading, c.name, c.label, c.value); got < c.want-1e-6 || got > c.want+1e-6 {
			t.Errorf("%s of %s is %v, want %v", c.name, c.value, got, c.want)
		}
		if got := workertest.Metric(t, other, c.name, c.label, c.value); got != -1 {
			t.Errorf("a process that does not lead says that %s of %s is %v", c.name, c.value, got)
		}
	}
	// It is not measured again at once.
	p.Exec(`UPDATE position SET on_hand = 0`)
	measures.Chore(t.Context())
	if got := workertest.Metric(t, leading, "composerp_stock_positions", "state", "out"); got != 2 {
		t.Errorf("after a moment %v are sold out, want 2 still", got)
	}
	if lines := kept.Lines(); len(lines) > 0 {
		t.Errorf("it said %q", lines)
	}
	// A database that is away is said, and leaves what is known until it is old.
	p.DB.Close()
	again := business.New(prometheus.NewRegistry(), p.DB, kept.Logger())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again.Chore(ctx)
	if !kept.Has("positions and orders not counted for now") || !kept.Has("forecasts not measured for now") {
		t.Errorf("it said %q", kept.Lines())
	}
}
