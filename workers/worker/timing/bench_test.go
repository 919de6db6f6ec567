package timing_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/workers/worker/timing"
)

// What it costs to measure one delivery, without the broker's part: the relay's header, and what the harness does with
// it. `composerp bench` measures what a whole delivery costs; docs/explanation/performance.md compares the two.
func BenchmarkMeasuring(b *testing.B) {
	queue := timing.NewMetrics(prometheus.NewRegistry()).Of("ledger")
	now := time.Now()
	batch := timing.NewBatch(&timing.Locks{})
	batch.Begin(now)
	headers := map[string]any{}
	b.ReportAllocs()
	for b.Loop() {
		relayed := delay.Since(now.Add(-20 * time.Millisecond))
		relayed.Until(delay.Relay, now.Add(-10*time.Millisecond))
		headers[delay.Header] = relayed.String()
		looked := time.Now() // as the consumer does
		if looked.Before(now) {
			b.Fatal("the clock went back")
		}
		times, measured := timing.Of(rabbitmq.Delivery{Message: rabbitmq.Message{Headers: headers}, Arrived: now.Add(-time.Millisecond)}, true, now)
		if batch.MayBeLate(&times, now) {
			b.Fatal("it is late")
		}
		batch.End(&times, now)
		queue.Observe(&times, measured, "")
	}
}
