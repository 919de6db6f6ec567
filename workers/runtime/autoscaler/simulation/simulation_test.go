package simulation_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/workers/runtime/autoscaler"
	. "github.com/composerp/composerp/workers/runtime/autoscaler/simulation"
)

// slow is a worker whose messages take 100 ms each, which slots multiply.
var slow = Model{Fixed: 0.01, Each: 0.1, Batch: 10, Prefetch: 20}

// setBased is a worker whose batch of 200 takes twice as long as one of a single message, on rows that all its slots
// lock.
var setBased = Model{Fixed: 0.02, Each: 0.0001, Batch: 200, Prefetch: 1000, Contention: 0.9, Start: time.Second}

var patterns = []struct {
	name   string
	length time.Duration
	rate   func(time.Duration) float64 // messages a second
}{
	{"steady", 20 * time.Minute, func(time.Duration) float64 { return 30 }},
	{"burst", 20 * time.Minute, func(at time.Duration) float64 {
		if at >= 5*time.Minute && at < 7*time.Minute {
			return 120
		}
		return 6
	}},
	{"ramp", 40 * time.Minute, func(at time.Duration) float64 { return 60 * min(at.Minutes()/15, 1) }},
	{"day", 24 * time.Hour, func(at time.Duration) float64 { return 30 * (1 + math.Sin(2*math.Pi*(at.Hours()-6)/24)) }},
	{"waves", time.Hour, func(at time.Duration) float64 {
		if at%(2*time.Minute) < 30*time.Second {
			return 60
		}
		return 2
	}},
}

var starts = []time.Duration{time.Second, 10 * time.Second, time.Minute}

// Every pattern is worked off within its target and what slots need to start, by few moves, and
// with no message delivered again. A rule by ready messages alone, on the same arrivals, stops busy
// workers and goes up and down: the table shows both.
func TestArrivals(t *testing.T) {
	t.Parallel()
	const most = 32
	lines := make([]string, len(patterns)*len(starts)*2)
	t.Run("each", func(t *testing.T) {
		for i, pattern := range patterns {
			for j, delay := range starts {
				t.Run(fmt.Sprint(pattern.name, delay), func(t *testing.T) {
					t.Parallel()
					model := slow
					model.Start = delay
					arrivals := Arrivals(7, pattern.length, pattern.rate)
					auto := Run(model, 1, Auto(autoscaler.Policy{Min: 1, Max: most, Batch: model.Batch}), arrivals)
					model.Kill = true
					ready := Run(model, 1, ReadyBy(100, 1, most), arrivals)
					at := 2 * (i*len(starts) + j)
					lines[at], lines[at+1] = line(pattern.name, delay, "autoscaler", auto), line(pattern.name, delay, "ready / 100", ready)

					if auto.Left > 0 || auto.Again > 0 {
						t.Errorf("left %d, delivered again %d", auto.Left, auto.Again)
					}
					if allowed := autoscaler.DefaultDrain + 2*delay; auto.Wait99 > allowed {
						t.Errorf("99 %% of messages are to wait at most %v, got %v", allowed, auto.Wait99)
					}
					if hours := pattern.length.Hours(); float64(auto.Reversals) > 2+hours {
						t.Errorf("the number went up and down %d times in %v", auto.Reversals, pattern.length)
					}
				})
			}
		}
	})
	page := filepath.Join("..", "..", "..", "..", "docs", "reference", "autoscaler.md")
	table := "| arrivals | start of a slot | rule | slot-hours | waited, median | 99 % | most | most slots | moves | reversals | delivered again |\n|---|---|---|---|---|---|---|---|---|---|---|\n" +
		strings.Join(lines, "")
	golden.CompareBetween(t, page, "<!-- simulation -->\n", "<!-- end of simulation -->", table)
}

func line(pattern string, delay time.Duration, rule string, r Result) string {
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
	return fmt.Sprintf("| %s | %v | %s | %.2f | %s | %s | %s | %d | %d | %d | %d |\n", pattern, delay, rule, r.SlotHours,
		seconds(r.Wait50), seconds(r.Wait99), seconds(r.WaitMax), r.Peak, r.Moves, r.Reversals, r.Again)
}

// A set-based worker whose slots lock the same rows handles no more with more slots: the number stays
// low, and nearly as much is done as with one slot alone.
func TestSlotsThatBringNothing(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	arrivals := Arrivals(7, hour, func(time.Duration) float64 { return 8000 })
	auto := Run(setBased, 1, Auto(autoscaler.Policy{Min: 1, Max: 8, Batch: setBased.Batch}), arrivals)
	many := Run(setBased, 8, Fixed(8), arrivals)
	if auto.SlotHours > 1.25*2*hour.Hours() {
		t.Errorf("one slot was enough for two hours, and it took %.2f slot-hours: %+v", auto.SlotHours, auto)
	}
	if many.SlotHours < 6*auto.SlotHours || float64(many.Messages) > 1.1*float64(auto.Messages) {
		t.Errorf("eight slots: %+v; the autoscaler: %+v", many, auto)
	}
}

// A set-based worker is slow with single messages and fast with many: batches grow before slots do.
func TestBatchesGrowBeforeSlots(t *testing.T) {
	t.Parallel()
	arrivals := Arrivals(7, 30*time.Minute, func(time.Duration) float64 { return 3500 })
	if auto := Run(setBased, 1, Auto(autoscaler.Policy{Min: 1, Max: 8, Batch: setBased.Batch}), arrivals); auto.Peak > 1 || auto.Left > 0 {
		t.Errorf("one slot handles 5,000 a second in full batches, got %+v", auto)
	}
}

// What consumers hold is counted: with a large prefetch a rule by ready messages sees an empty queue and
// takes slots away while they work; the autoscaler does not.
func TestMessagesInHandAreBacklog(t *testing.T) {
	t.Parallel()
	model := slow
	model.Prefetch, model.Start, model.Kill = 1000, time.Second, true
	arrivals := make([]int, 100)
	arrivals[0] = 4000
	ready := Run(model, 4, ReadyBy(100, 1, 32), arrivals)
	auto := Run(model, 4, Auto(autoscaler.Policy{Min: 1, Max: 32, Batch: model.Batch}), arrivals)
	if ready.Again == 0 {
		t.Errorf("the rule by ready messages is said to stop busy workers: %+v", ready)
	}
	if auto.Again != 0 || auto.Wait99 > 2*autoscaler.DefaultDrain {
		t.Errorf("the autoscaler stops no busy worker: %+v", auto)
	}
}
