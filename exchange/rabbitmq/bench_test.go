package rabbitmq_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
)

// benchmarkSale has the size of a real event, 568 bytes.
func benchmarkSale() rabbitmq.Message {
	m := sale(1)
	m.ID = "01930000-0000-7000-8000-000000000000"
	m.Body = []byte(`{"padding":"` + strings.Repeat("x", 568-14) + `"}`)
	return m
}

// BenchmarkPublish publishes to a quorum queue with confirms. An iteration is one message.
func BenchmarkPublish(b *testing.B) {
	for _, window := range []int{1, 64, 256, 1024} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			session := open(b, withLedger(b))
			p := publisher(b, session, window)
			m := benchmarkSale()
			b.ReportAllocs()
			b.ResetTimer()
			publishMany(b, p, m, b.N, window)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// publishMany waits for each confirmation a window behind, as the relay does.
func publishMany(b *testing.B, p *rabbitmq.Publisher, m rabbitmq.Message, n, window int) {
	b.Helper()
	ctx := context.Background()
	confirmations := make([]*rabbitmq.Confirmation, 0, n)
	for i := range n {
		c, err := p.Publish(ctx, m)
		must(b, err)
		confirmations = append(confirmations, c)
		if i >= window {
			must(b, confirmations[i-window].Wait(ctx))
		}
	}
	for _, c := range confirmations[max(0, n-window):] {
		must(b, c.Wait(ctx))
	}
}

// BenchmarkConsume takes a backlog from a quorum queue in batches and acknowledges each batch with one frame.
// An iteration is one message.
func BenchmarkConsume(b *testing.B) {
	for _, batch := range []int{1, 50, 200} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			session := open(b, withLedger(b))
			publishMany(b, publisher(b, session, 1024), benchmarkSale(), b.N, 1024)
			c := consumer(b, session, ledgerQueue, 5*batch)
			b.ReportAllocs()
			b.ResetTimer()
			batches := 0
			for taken := 0; taken < b.N; batches++ {
				deliveries, err := c.Take(context.Background(), batch)
				must(b, err)
				taken += len(deliveries)
				must(b, c.Ack(deliveries[len(deliveries)-1]))
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(b.N)/float64(batches), "msg/batch")
		})
	}
}
