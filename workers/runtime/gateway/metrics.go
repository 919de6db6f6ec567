package gateway

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/composerp/composerp/store/eventlog"
)

// What a request is for.
const (
	kindPublish = "publish"
	kindEvent   = "event"
	kindStock   = "stock"
	kindOrder   = "order"
	kindOther   = "other"
)

// What became of a request.
const (
	outcomeAnswered     = "answered"
	outcomeRefused      = "refused"
	outcomeUnauthorized = "unauthorized"
	outcomeLimited      = "limited"
	outcomeUnavailable  = "unavailable"
)

// What became of an event, beside the outcomes of eventlog.Admission.
const (
	outcomeInvalid   = "invalid"
	outcomeForbidden = "forbidden"
)

// Metrics are the gateway's.
type Metrics struct {
	requests, events *prometheus.CounterVec
	batch, commit    prometheus.Histogram
}

// NewMetrics makes the metrics of a gateway.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	m := &Metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{Name: "composerp_gateway_requests_total", Help: "HTTP requests by what they ask for and what became of them."},
			[]string{"kind", "outcome"}),
		events: f.NewCounterVec(prometheus.CounterOpts{Name: "composerp_gateway_events_total", Help: "Events of HTTP requests by what became of them."},
			[]string{"outcome"}),
		batch: f.NewHistogram(prometheus.HistogramOpts{Name: "composerp_gateway_batch_events", Help: "Events that one transaction brought into the log.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 6)}),
		commit: f.NewHistogram(prometheus.HistogramOpts{Name: "composerp_gateway_commit_seconds", Help: "Time of a transaction that brings events of HTTP requests into the log.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 12)}),
	}
	for _, kind := range []string{kindPublish, kindEvent, kindStock, kindOrder, kindOther} {
		for _, outcome := range []string{outcomeAnswered, outcomeRefused, outcomeUnauthorized, outcomeLimited, outcomeUnavailable} {
			m.requests.WithLabelValues(kind, outcome)
		}
	}
	for a := eventlog.Admitted; a <= eventlog.ForeignCurrency; a++ {
		m.events.WithLabelValues(a.String())
	}
	for _, outcome := range []string{outcomeInvalid, outcomeForbidden} {
		m.events.WithLabelValues(outcome)
	}
	return m
}

func outcomeOf(p *problem) string {
	switch {
	case p == nil:
		return outcomeAnswered
	case p.Status == http.StatusUnauthorized:
		return outcomeUnauthorized
	case p.Status == http.StatusTooManyRequests:
		return outcomeLimited
	case p.Status == http.StatusServiceUnavailable:
		return outcomeUnavailable
	}
	return outcomeRefused
}
