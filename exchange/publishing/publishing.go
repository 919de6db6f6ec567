// Package publishing counts what the publishers of a process do, by kind: what the broker answered and when, how much
// it has not answered, and whether it blocks them.
//
// # Invariants
//
//   - Each message that a publisher accepted is counted once: when the broker's answer has arrived, or as lost when the
//     session ends before. A lost one is in doubt: the broker may have it, and it is published again.
//   - The gauges are read from living publishers at each scrape: none counts what a publisher of the past left.
package publishing

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The kinds of publishers.
const (
	Relay    = "relay"    // events from the log
	Worker   = "worker"   // messages that failed, to retry queues and dead letters, and events to lanes
	Watchdog = "watchdog" // what may have been lost, again
	Stream   = "stream"   // a copy of the log, to composerp.stream
)

const (
	outcomeConfirmed = "confirmed"
	outcomeNacked    = "nacked"
	outcomeReturned  = "returned"
	outcomeLost      = "lost"
)

// Metrics are those of all publishers of a process; make one with NewMetrics.
type Metrics struct {
	kinds    map[string]*Kind
	inFlight *prometheus.Desc
	blocked  *prometheus.Desc
}

// Kind are the publishers of one kind. It is safe for concurrent use; nil counts nothing.
type Kind struct {
	outcomes   map[string]prometheus.Counter
	confirming prometheus.Observer

	mu   sync.Mutex
	last int
	open map[int]State
}

// State reads how many messages of a publisher have no answer yet, and whether the broker blocks it.
type State func() (inFlight int, blocked bool)

// NewMetrics registers the metrics of publishers.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	messages := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "composerp_publisher_messages_total", Help: "Messages published, by what the broker answered.",
	}, []string{"kind", "outcome"})
	confirming := auto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "composerp_publisher_confirm_seconds", Help: "Time from writing a message to its confirm.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10),
	}, []string{"kind"})
	m := &Metrics{
		kinds:    map[string]*Kind{},
		inFlight: prometheus.NewDesc("composerp_publisher_in_flight", "Messages that publishers have accepted and the broker has not answered.", []string{"kind"}, nil),
		blocked:  prometheus.NewDesc("composerp_publisher_blocked", "Publishers that the broker blocks now, because of its memory or disk.", []string{"kind"}, nil),
	}
	for _, kind := range []string{Relay, Worker, Watchdog, Stream} {
		k := &Kind{outcomes: map[string]prometheus.Counter{}, confirming: confirming.WithLabelValues(kind), open: map[int]State{}}
		for _, outcome := range []string{outcomeConfirmed, outcomeNacked, outcomeReturned, outcomeLost} {
			k.outcomes[outcome] = messages.WithLabelValues(kind, outcome)
		}
		m.kinds[kind] = k
	}
	r.MustRegister(m)
	return m
}

// Of are the publishers of a kind: Relay, Worker, Watchdog or Stream.
func (m *Metrics) Of(kind string) *Kind { return m.kinds[kind] }

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) { to <- m.inFlight; to <- m.blocked }

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	for kind, k := range m.kinds {
		inFlight, blocked := k.now()
		to <- prometheus.MustNewConstMetric(m.inFlight, prometheus.GaugeValue, float64(inFlight), kind)
		to <- prometheus.MustNewConstMetric(m.blocked, prometheus.GaugeValue, float64(blocked), kind)
	}
}

func (k *Kind) now() (inFlight, blocked int) {
	k.mu.Lock()
	open := slices.Collect(maps.Values(k.open))
	k.mu.Unlock()
	for _, state := range open {
		n, isBlocked := state()
		inFlight += n
		if isBlocked {
			blocked++
		}
	}
	return inFlight, blocked
}

// Opened counts a publisher that has begun. ended says that it answers no more, and how many of its messages are lost.
func (k *Kind) Opened(state State) (ended func(lost int)) {
	if k == nil {
		return func(int) {}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last++
	number := k.last
	k.open[number] = state
	return func(lost int) {
		k.outcomes[outcomeLost].Add(float64(lost))
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.open, number)
	}
}

// Confirmed counts a message that the broker has, written at a time.
func (k *Kind) Confirmed(written time.Time) {
	if k != nil {
		k.outcomes[outcomeConfirmed].Inc()
		k.confirming.Observe(time.Since(written).Seconds())
	}
}

// Nacked counts a message that a queue refused.
func (k *Kind) Nacked() { k.count(outcomeNacked) }

// Returned counts a message that no queue took.
func (k *Kind) Returned() { k.count(outcomeReturned) }

// Lost counts a message whose answer did not arrive.
func (k *Kind) Lost() { k.count(outcomeLost) }

func (k *Kind) count(outcome string) {
	if k != nil {
		k.outcomes[outcome].Inc()
	}
}
