package stream

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/stream"
	"github.com/composerp/composerp/workers/worker/scrape"
)

// Metrics are the feeder's; make one with NewMetrics.
type Metrics struct {
	leading   prometheus.Gauge
	confirmed prometheus.Counter
	leftOut   prometheus.Counter
}

// NewMetrics registers the feeder's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		leading: auto.NewGauge(prometheus.GaugeOpts{
			Name: "composerp_stream_leading", Help: "1 where this process feeds composerp.stream.",
		}),
		confirmed: auto.NewCounter(prometheus.CounterOpts{
			Name: "composerp_stream_confirmed_total", Help: "Events that the broker has confirmed in composerp.stream, copies too.",
		}),
		leftOut: auto.NewCounter(prometheus.CounterOpts{
			Name: "composerp_stream_left_out_total", Help: "Events that composerp.stream lacks, because the broker will never take them.",
		}),
	}
}

// RegisterState adds how far the stream is behind the log, read from the database at each scrape.
func RegisterState(r prometheus.Registerer, db *store.DB) {
	scrape.RegisterEach(r, func(ctx context.Context) (stream.State, error) { return stream.ReadState(ctx, db) },
		scrape.Gauge[stream.State]{
			Name:  "composerp_stream_lag_events",
			Help:  "Places of the log that are not in composerp.stream yet; 0 while it is off.",
			Value: func(s stream.State) int64 { return s.Waiting },
		},
		scrape.Gauge[stream.State]{
			Name:  "composerp_stream_position",
			Help:  "Last place of the log that is in composerp.stream; 0 while it is off.",
			Value: func(s stream.State) int64 { return s.Position },
		},
		scrape.Gauge[stream.State]{
			Name:  "composerp_stream_behind_seconds",
			Help:  "For how long the oldest event has waited that could be in composerp.stream; 0 when none does.",
			Value: func(s stream.State) int64 { return int64(s.Behind / time.Second) },
		})
}
