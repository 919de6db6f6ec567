package ledger_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/ledger"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// Sales and returns are counted once each, when they are booked.
func TestSalesAreCounted(t *testing.T) {
	t.Parallel()
	w := ledger.New()
	registry := prometheus.NewRegistry()
	registry.MustRegister(w.Collectors()...)
	env := workertest.NewEnv(t, w)
	sale := func(quantity, amount int64, currency string) event.Any {
		return workertest.Event(t, event.SaleCompleted{SaleID: "s", ItemID: "cup", LocationID: "shop", Quantity: event.NewDecimal(quantity), Amount: event.NewDecimal(amount), Currency: currency, Timestamp: workertest.Day})
	}
	twice := sale(3, 12, "EUR")
	env.RunWorker(w, 1)
	env.Publish(twice, twice, sale(2, 7, "EUR"), sale(1, 5, ""), sale(-2, -8, "EUR"), workertest.Receipt(t, "cup", "shop", "40"))
	for name, c := range map[string]struct {
		metric, kind string
		want         float64
	}{
		"units sold":     {"composerp_sales_units_total", "sale", 6},
		"units returned": {"composerp_sales_units_total", "return", 2},
		"sold in euros":  {"composerp_sales_amount_total", "EUR", 19},
		"sold":           {"composerp_sales_amount_total", "unnamed", 5},
		"paid back":      {"composerp_returns_amount_total", "EUR", 8},
	} {
		env.Eventually(name, func() bool { return workertest.Metric(t, registry, c.metric, "kind", c.kind) == c.want })
	}
}
