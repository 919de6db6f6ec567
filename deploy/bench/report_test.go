package bench

import (
	"testing"
	"time"
)

func TestTally(t *testing.T) {
	t.Parallel()
	want := tally{Inbox: 3, Movements: 6, Distinct: 3, Quantity: 6}
	if err := want.check(want); err != nil {
		t.Errorf("correct tables: %v", err)
	}
	twice := want
	twice.Movements++
	if twice.check(want) == nil {
		t.Error("an additional movement is not found")
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 3}, 3}} {
		if got := median(c.of); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.of, got, c.want)
		}
	}
}

func TestLatency(t *testing.T) {
	t.Parallel()
	var taken []time.Duration
	for ms := 200; ms > 0; ms-- {
		taken = append(taken, time.Duration(ms)*time.Millisecond)
	}
	if got, want := latency(taken), (Latency{P50Ms: 101, P99Ms: 199, MaxMs: 200}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestSummarize has one round on a slow machine: its ratio must be taken with its own reference.
func TestSummarize(t *testing.T) {
	t.Parallel()
	round := func(reference, work float64) Round {
		return Round{Reference: Throughput{PerSecond: reference}, SameWork: Throughput{PerSecond: work}, Ledger: Throughput{PerSecond: work / 2}}
	}
	r := Report{Rounds: []Round{round(1000, 800), round(100, 90), round(1000, 850)}}
	r.summarize()
	if r.SameWorkRatio != 0.85 || r.LedgerRatio != 0.425 || r.ReferencePerSecond != 1000 {
		t.Errorf("got %+v", r)
	}
}

func TestNewSales(t *testing.T) {
	t.Parallel()
	sales, err := newSales(1, opening, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(sales[0].Body); n < 540 || n > 600 {
		t.Errorf("a sale has %d bytes, want about 570: %s", n, sales[0].Body)
	}
}
