package ledger

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/worker"
)

// noCurrency stands for the currency of sales that name none: their location's.
const noCurrency = "unnamed"

// countSales counts what was booked of sales and returns.
func countSales() worker.Option {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"kind"})
	}
	units := counter("composerp_sales_units_total", "Units sold and units returned, by kind, over all tenants.")
	sold := counter("composerp_sales_amount_total", "Amounts of sales over all tenants, by currency as kind; unnamed: the location's.")
	returned := counter("composerp_returns_amount_total", "Amounts paid back for returns over all tenants, by currency as kind; unnamed: the location's.")
	units.WithLabelValues("sale")
	units.WithLabelValues("return")
	return worker.Counted(func(events []event.Any) {
		for i := range events {
			sale, is := events[i].Payload.(event.SaleCompleted)
			if !is {
				continue
			}
			n, kind, amounts := sale.Quantity.InexactFloat64(), "sale", sold
			if n < 0 {
				n, kind, amounts = -n, "return", returned
			}
			units.WithLabelValues(kind).Add(n)
			amounts.WithLabelValues(cmp.Or(sale.Currency, noCurrency)).Add(sale.Amount.Abs().InexactFloat64())
		}
	}, units, sold, returned)
}
