// Package scrape has gauges that are read at each scrape, and the choice of native histograms. A gauge whose question
// is not answered has no series then: what is unknown is absent, and no number stands for it.
package scrape

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// timeout bounds a gauge's question.
const timeout = 2 * time.Second

// Register adds a gauge that read gives the value of.
func Register(r prometheus.Registerer, name, help string, read func(ctx context.Context) (int64, error)) {
	RegisterEach(r, read, Gauge[int64]{name, help, func(value int64) int64 { return value }})
}

// Gauge is one of those that RegisterEach adds; Value takes its value from what was read.
type Gauge[T any] struct {
	Name, Help string
	Value      func(T) int64
}

// RegisterEach adds gauges that are read together, by one question a scrape.
func RegisterEach[T any](r prometheus.Registerer, read func(ctx context.Context) (T, error), gauges ...Gauge[T]) {
	g := together[T]{read: read}
	for _, one := range gauges {
		g.gauges = append(g.gauges, described[T]{prometheus.NewDesc(one.Name, one.Help, nil, nil), one.Value})
	}
	r.MustRegister(g)
}

// WithNative has the latency histograms that are registered with it be native ones too.
func WithNative(r prometheus.Registerer) prometheus.Registerer { return native{r} }

type native struct{ prometheus.Registerer }

// nativeGrowth is how much wider each bucket of a native histogram is than the one before, and nativeBuckets how many
// it has at most: then they become wider.
const (
	nativeGrowth  = 1.1
	nativeBuckets = 160
)

// Latency is a latency histogram as its registerer wants it. It keeps its classic buckets, which rules ask for.
func Latency(r prometheus.Registerer, opts prometheus.HistogramOpts) prometheus.HistogramOpts {
	if _, is := r.(native); is {
		opts.NativeHistogramBucketFactor, opts.NativeHistogramMaxBucketNumber = nativeGrowth, nativeBuckets
		opts.NativeHistogramMinResetDuration = time.Hour
	}
	return opts
}

type together[T any] struct {
	read   func(ctx context.Context) (T, error)
	gauges []described[T]
}

type described[T any] struct {
	desc  *prometheus.Desc
	value func(T) int64
}

// RegisterByQueue adds a gauge for each queue that read gives a value for.
func RegisterByQueue(r prometheus.Registerer, name, help string, read func(ctx context.Context) (map[string]int64, error)) {
	RegisterBy(r, "queue", name, help, read)
}

// RegisterBy adds a gauge for each value of a label, of a closed set, that read gives a number for.
func RegisterBy(r prometheus.Registerer, label, name, help string, read func(ctx context.Context) (map[string]int64, error)) {
	r.MustRegister(byLabel{prometheus.NewDesc(name, help, []string{label}, nil), read})
}

type byLabel struct {
	desc *prometheus.Desc
	read func(ctx context.Context) (map[string]int64, error)
}

// Describe implements prometheus.Collector.
func (g byLabel) Describe(to chan<- *prometheus.Desc) { to <- g.desc }

// Collect implements prometheus.Collector.
func (g byLabel) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	values, err := g.read(ctx)
	if err != nil {
		return
	}
	for label, value := range values {
		to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(value), label)
	}
}

// Describe implements prometheus.Collector.
func (g together[T]) Describe(to chan<- *prometheus.Desc) {
	for _, one := range g.gauges {
		to <- one.desc
	}
}

// Collect implements prometheus.Collector.
func (g together[T]) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	read, err := g.read(ctx)
	if err != nil {
		return
	}
	for _, one := range g.gauges {
		to <- prometheus.MustNewConstMetric(one.desc, prometheus.GaugeValue, float64(one.value(read)))
	}
}
