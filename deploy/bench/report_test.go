package bench

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
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

// TestGoals has a figure on each side of its bound, and figures that are not known.
func TestGoals(t *testing.T) {
	t.Parallel()
	r := Report{SameWorkRatio: 0.96, LedgerRatio: 0.49, FleetRatio: 0.17, IdleP50Ratio: 1.6, IdleP99Ratio: 2.1}
	met := func() (met []bool) {
		for _, g := range r.goals() {
			met = append(met, g.Met)
		}
		return met
	}
	if got, want := met(), []bool{true, false, true, true, false}; !slices.Equal(got, want) {
		t.Errorf("met: %v, want %v", got, want)
	}
	r.ClientRatio, r.DatabaseRatio, r.FleetMemoryMB = 1.2, 1.4, 201
	r.Recording, r.FleetPrices.Delivery = Recording{Prompt: 2, Late: 2.1}, Price{Client: 50, Broker: 20, Database: 30}
	if got, want := met()[5:], []bool{true, false, true, false, false}; !slices.Equal(got, want) {
		t.Errorf("met: %v, want %v", got, want)
	}
	r.Goals = r.goals()
	if table := r.Table(); !strings.Contains(table, "201 MB") || !strings.Contains(table, "at most 200 MB") || !strings.Contains(table, "2.1 %") || !strings.Contains(table, "at most 2.0 %") {
		t.Errorf("the table reads\n%s", table)
	}
}

// TestPrice has a run in which each sale is handled five times.
func TestPrice(t *testing.T) {
	t.Parallel()
	run := Throughput{PerSecond: 1000, Handled: 5, WALBytes: 5000, Cores: Cores{Client: 0.5, Broker: 0.25, Database: 1}}
	if got, want := run.event(), (Price{Client: 500, Broker: 250, Database: 1000, WALBytes: 5000}); got != want {
		t.Errorf("an event costs %+v, want %+v", got, want)
	}
	if got, want := run.delivery(), (Price{Client: 100, Broker: 50, Database: 200, WALBytes: 1000}); got != want {
		t.Errorf("a delivery costs %+v, want %+v", got, want)
	}
	run.Handled = 0
	if got, want := run.delivery(), run.event(); got != want {
		t.Errorf("a delivery costs %+v, want %+v", got, want)
	}
}

func TestPeakMemory(t *testing.T) {
	t.Parallel()
	if statusKiB(os.Getpid(), "VmRSS") == 0 {
		t.Skip("this machine does not tell a process's memory")
	}
	var kept []byte
	peak, err := peakMemory(func() error {
		kept = bytes.Repeat([]byte{1}, 64<<20)
		return errNacked
	})
	if peak < 64 || !errors.Is(err, errNacked) || len(kept) == 0 {
		t.Errorf("the peak is %.0f MB, the error %v", peak, err)
	}
}

func TestNewSales(t *testing.T) {
	t.Parallel()
	sales, err := newSales(1, items, opening, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(sales[0].Body); n < 540 || n > 600 {
		t.Errorf("a sale has %d bytes, want about 570: %s", n, sales[0].Body)
	}
}
