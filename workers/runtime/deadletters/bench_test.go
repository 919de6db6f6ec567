package deadletters_test

import (
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// How long 5,000 dead letters take to be put back, as fast as they go.
func BenchmarkRedrive(b *testing.B) {
	const letters = 5000
	p := newEnv(b)
	for b.Loop() {
		b.StopTimer()
		p.die(letters, errNoCup)
		b.StartTimer()
		report, err := p.cfg.Redrive(b.Context(), deadletters.Redrive{Queue: queue, Pace: deadletters.Pace{Steps: []int{0}}})
		storetest.Must(b, err)
		if report.Redriven != letters {
			b.Fatalf("the report is %+v", report)
		}
	}
	b.ReportMetric(float64(letters*b.N)/b.Elapsed().Seconds(), "letters/s")
}

// How long it takes to find 50 among 100,000, and to leave the others as they are.
func BenchmarkFewOfMany(b *testing.B) {
	const letters, wanted = 100_000, 50
	p := newEnv(b)
	body := strings.Repeat("x", 600)
	for from := 0; from < letters; from += 10_000 {
		messages := make([]rabbitmq.Message, 10_000)
		for i := range messages {
			e := p.sale("acme", body[:64])
			messages[i] = dead(e, ledger, errNoCup)
			if (from+i)%(letters/wanted/10) == 0 && from+i < letters/10 {
				messages[i].Type = "STOCK_COUNTED"
			}
		}
		p.Send(messages...)
	}
	p.record()
	b.ResetTimer()
	for b.Loop() {
		report, err := p.cfg.Redrive(b.Context(), deadletters.Redrive{
			Queue: queue, Pace: deadletters.Pace{Steps: []int{0}}, Filter: failures.LetterFilter{Type: "STOCK_COUNTED"},
		})
		storetest.Must(b, err)
		if report.Redriven != wanted || report.Seen != letters {
			b.Fatalf("the report is %+v", report)
		}
	}
}
