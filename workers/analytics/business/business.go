// Package business measures what the fleet's work comes to: what is sold out, which orders wait, how good forecasts
// are, over all tenants.
//
// One process measures, the one that leads the ticker, as one of its chores; the others have no such series. A measure
// that has not been taken for a while is absent, and no old number stands for it.
package business

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/workers/analytics"
	"github.com/composerp/composerp/workers/analytics/measure"
)

// How often is measured: positions and orders cost milliseconds for a thousand of them, forecasts a hundred times that.
// What is older than keptFor its interval is absent.
const (
	stockEvery    = time.Minute
	forecastEvery = time.Hour
	keptFor       = 3
	// forecastDays is the number of business days, up to the latest that has begun anywhere, forecasts are measured over.
	forecastDays = 28
)

var (
	positions = prometheus.NewDesc("composerp_stock_positions",
		"Positions with a replenishment rule over all tenants: all (watched), those below their threshold (low), and those with nothing on hand (out).", []string{"state"}, nil)
	orders = prometheus.NewDesc("composerp_purchase_orders",
		"Purchase orders over all tenants that wait: for a person's decision (waiting), for their supplier's confirmation (unsent), for the goods (sent).", []string{"state"}, nil)
	forecastError = prometheus.NewDesc("composerp_forecast_rmsse",
		"Root mean squared scaled error of the last 28 business days, weighted by units: of the forecasts, and of a naive one for the same days; above 1 is worse than yesterday's demand.",
		[]string{"kind"}, nil)
)

// Measures are the measures of this process. Make them with New.
type Measures struct {
	db  *store.DB
	log *slog.Logger

	mu        sync.Mutex
	stock     stockview.TenantSummary
	stockAt   time.Time
	error     measure.Overall
	measured  bool // there were forecasts to measure
	measureAt time.Time
}

// New registers the measures. Call Chore again and again where this process leads.
func New(r prometheus.Registerer, db *store.DB, log *slog.Logger) *Measures {
	m := &Measures{db: db, log: log}
	r.MustRegister(m)
	return m
}

// Chore measures what is due.
func (m *Measures) Chore(ctx context.Context) {
	m.mu.Lock()
	stockDue, forecastDue := time.Since(m.stockAt) >= stockEvery, time.Since(m.measureAt) >= forecastEvery
	if !m.measured { // there may be forecasts by now
		forecastDue = time.Since(m.measureAt) >= stockEvery
	}
	m.mu.Unlock()
	if stockDue {
		m.countStock(ctx)
	}
	if forecastDue {
		m.measureForecasts(ctx)
	}
}

func (m *Measures) countStock(ctx context.Context) {
	found, err := stockview.Summarize(ctx, m.db)
	if err != nil {
		if ctx.Err() == nil {
			m.log.Warn("positions and orders not counted for now", "error", err)
		}
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stock, m.stockAt = found, time.Now()
}

func (m *Measures) measureForecasts(ctx context.Context) {
	open, err := planning.LatestOpenDay(ctx, m.db)
	var answer analytics.Answer
	if err == nil && open != "" {
		answer, err = analytics.Accuracy(ctx, m.db, analytics.Question{Of: masterdata.PositionKey{}, From: since(open, forecastDays)})
	}
	if err != nil {
		if ctx.Err() == nil {
			m.log.Warn("forecasts not measured for now", "error", err)
		}
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.error, m.measured, m.measureAt = answer.Overall, answer.Overall.Items > 0, time.Now()
}

// since is the day that lies a number of days before another.
func since(day event.Date, days int) event.Date {
	at, err := time.Parse(time.DateOnly, string(day))
	if err != nil {
		return ""
	}
	return event.Date(at.AddDate(0, 0, -days).Format(time.DateOnly))
}

// Describe implements prometheus.Collector.
func (m *Measures) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{positions, orders, forecastError} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Measures) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	gauge := func(d *prometheus.Desc, label string, value float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, label)
	}
	if time.Since(m.stockAt) < keptFor*stockEvery {
		for state, n := range map[string]int64{"watched": m.stock.Watched, "low": m.stock.Low, "out": m.stock.Out} {
			gauge(positions, state, float64(n))
		}
		for state, n := range map[string]int64{"waiting": m.stock.Waiting, "unsent": m.stock.Unsent, "sent": m.stock.Sent} {
			gauge(orders, state, float64(n))
		}
	}
	if m.measured && time.Since(m.measureAt) < keptFor*forecastEvery {
		gauge(forecastError, "forecast", m.error.Forecast.WeightedRMSSE)
		gauge(forecastError, "naive", m.error.Naive.WeightedRMSSE)
	}
}
