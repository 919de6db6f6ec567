package relay

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/worker/scrape"
)

// Metrics are the relay's counters; make one with NewMetrics.
type Metrics struct {
	leading       prometheus.Gauge
	confirmed     prometheus.Counter
	confirming    prometheus.Histogram
	unpublishable prometheus.Counter
}

// NewMetrics registers the relay's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		leading: auto.NewGauge(prometheus.GaugeOpts{
			Name: "composerp_relay_leading", Help: "1 where this process's relay holds the lease.",
		}),
		confirmed: auto.NewCounter(prometheus.CounterOpts{
			Name: "composerp_relay_confirmed_total", Help: "Events whose publishing the broker has confirmed.",
		}),
		confirming: auto.NewHistogram(scrape.Latency(r, prometheus.HistogramOpts{
			Name: "composerp_relay_confirm_seconds", Help: "Time from publishing a page's first event to its last confirm.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		})),
		unpublishable: auto.NewCounter(prometheus.CounterOpts{
			Name: "composerp_relay_unpublishable_total", Help: "Events that the broker will never take.",
		}),
	}
}

// RegisterLag adds the log's lag and the time of its oldest unpublished event, read from the database at each scrape:
// they matter most when no relay runs to measure them.
func RegisterLag(r prometheus.Registerer, db *store.DB) {
	scrape.Register(r, "composerp_log_lag_events", "Places of the log the relay has not passed yet; absent when the database does not answer.",
		func(ctx context.Context) (int64, error) { return eventlog.Lag(ctx, db, LeaseName) })
	scrape.RegisterEach(r, func(ctx context.Context) (eventlog.Health, error) { return eventlog.ReadHealth(ctx, db) },
		scrape.Gauge[eventlog.Health]{
			Name:  "composerp_log_oldest_unpublished_timestamp_seconds",
			Help:  "When the oldest event that the relay has not passed was logged; the time of the scrape when there is none; absent when the database does not answer.",
			Value: func(h eventlog.Health) int64 { return time.Now().Add(-h.Behind).Unix() },
		},
		scrape.Gauge[eventlog.Health]{
			Name:  "composerp_log_oldest_unticked_timestamp_seconds",
			Help:  "When the oldest event was logged that no tick has seen; the time of the scrape when there is none; absent when the database does not answer.",
			Value: func(h eventlog.Health) int64 { return time.Now().Add(-h.Unticked).Unix() },
		})
}
