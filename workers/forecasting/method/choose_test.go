package method

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func repeat(week []float64, weeks int) (demand []float64) {
	for range weeks {
		demand = append(demand, week...)
	}
	return demand
}

func TestTheHistoryChooses(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	noisy := func(n int, of func(i int) float64) []float64 {
		demand := make([]float64, n)
		for i := range demand {
			demand[i] = math.Max(0, of(i)+random.NormFloat64()/2)
		}
		return demand
	}
	for name, c := range map[string]struct {
		demand []float64
		method string
		daily  []float64
	}{
		"nothing":             {nil, "SES 0.05 weekly", []float64{0, 0, 0}},
		"one day":             {[]float64{3}, "SES 0.05 weekly", []float64{3, 3, 3}},
		"always the same":     {repeat([]float64{5}, 90), "SES 0.05 weekly", []float64{5, 5, 5}},
		"a week of its own":   {repeat([]float64{9, 1, 1, 1, 1, 1, 30}, 12), "SNAIVE", []float64{9, 1, 1}},
		"a noisy week":        {noisy(84, func(i int) float64 { return []float64{9, 1, 1, 1, 1, 1, 30}[i%7] }), "SEASONAL 0.1", nil},
		"a pattern too young": {repeat([]float64{9, 1, 1, 1, 1, 1, 30}, 4), "SES 0.05 weekly", nil},
	} {
		f := NewChooser(Flat).Choose(History{Demand: c.demand, First: time.Monday}, 30)
		if !strings.HasPrefix(f.Method, c.method) {
			t.Errorf("%s: %s was chosen, want %s", name, f.Method, c.method)
		}
		for i, want := range c.daily {
			if !near(f.Daily[i], want) {
				t.Errorf("%s: day %d is %v, want %v", name, i, f.Daily[i], want)
			}
		}
	}
}

// A jump is followed, and what is no longer bought is forgotten, by whatever method.
func TestOldDemandIsForgotten(t *testing.T) {
	t.Parallel()
	if f := NewChooser(Flat).Choose(History{Demand: append(repeat([]float64{2}, 60), repeat([]float64{40}, 30)...)}, 30); f.Daily[0] < 39 {
		t.Errorf("%s expects %v of what has sold 40 a day for a month", f.Method, f.Daily[0])
	}
	f := NewChooser(Flat).Choose(History{Demand: append(repeat([]float64{6, 0}, 30), make([]float64, 60)...)}, 30)
	if f.Daily[0] > 0.15 {
		t.Errorf("%s still expects %v a day of what sold 3 a day two months ago", f.Method, f.Daily[0])
	}
}

// The error's standard deviation is that of forecasts made one day ahead: of a
// level of 10 and demands of 0 and 20 in turn it is 10.
func TestErrorStdDev(t *testing.T) {
	t.Parallel()
	f := NewChooser(Flat).Choose(History{Demand: repeat([]float64{0, 20}, 90)}, 7)
	if math.Abs(f.ErrorStdDev-10) > 0.6 {
		t.Errorf("%s is uncertain by %v, want about 10", f.Method, f.ErrorStdDev)
	}
	if f := NewChooser(Flat).Choose(History{Demand: []float64{6}}, 7); f.ErrorStdDev != 6 {
		t.Errorf("one day of 6 is uncertain by %v", f.ErrorStdDev)
	}
	// By hand: of so short a history all days but the first are scored, against the mean of those before.
	if f := NewChooser(Flat).Choose(History{Demand: []float64{4, 6, 4, 6, 4}}, 7); !near(f.ErrorStdDev, math.Sqrt((4+1+16/9.0+1)/4)) {
		t.Errorf("%s is uncertain by %v", f.Method, f.ErrorStdDev)
	}
}

// Whatever was sold, and however the week looks: as many days as asked for, each a
// number that can be said, none negative; and the same again for the same.
func TestForecastsCanBeSaid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0, 100), rapid.Float64Range(0, 1e15))
		h := History{
			Demand: rapid.SliceOfN(unit, 0, Longest).Draw(t, "demand"),
			First:  time.Weekday(rapid.IntRange(0, 6).Draw(t, "first")),
		}
		trade := rapid.SliceOfN(unit, 0, 120).Draw(t, "trade")
		days := rapid.IntRange(1, 60).Draw(t, "days")
		profile := ProfileOf(trade, h.First)
		sum := 0.0
		for d, weight := range profile {
			sum += weight
			if weight <= 0 || weight > 7 || math.IsNaN(weight) {
				t.Fatalf("the weight of %s is %v", time.Weekday(d), weight)
			}
		}
		if math.Abs(sum-7) > 1e-6 {
			t.Fatalf("the weights sum to %v", sum)
		}
		chooser := NewChooser(profile)
		f := chooser.Choose(h, days)
		if f.Method == "" || len(f.Daily) != days {
			t.Fatalf("%q has %d days", f.Method, len(f.Daily))
		}
		for _, x := range append([]float64{f.ErrorStdDev}, f.Daily...) {
			if math.IsNaN(x) || x < 0 || x > largest {
				t.Fatalf("%s says %v", f.Method, x)
			}
		}
		again := chooser.Choose(h, days) // the one before has left nothing behind
		if again.Method != f.Method || again.Daily[0] != f.Daily[0] || again.ErrorStdDev != f.ErrorStdDev {
			t.Fatalf("first %+v, then %+v", f, again)
		}
	})
}

// All items of a large shop, half a year each: it must take well below two seconds.
func BenchmarkChoose(b *testing.B) {
	const items = 3648
	random := rand.New(rand.NewPCG(1, 2))
	histories := make([]History, items)
	for i := range histories {
		demand := make([]float64, Longest)
		for d := range demand {
			if random.IntN(4) == 0 {
				demand[d] = float64(random.IntN(40))
			}
		}
		histories[i] = History{Demand: demand}
	}
	for b.Loop() {
		chooser := NewChooser(Profile{1, 1.2, 1.2, 1.2, 1.2, 1.2, 0.01})
		for _, h := range histories {
			chooser.Choose(h, 30)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/items, "µs/item")
}

// A Chooser that is left one method takes it, whatever the history.
func TestOneMethodByName(t *testing.T) {
	t.Parallel()
	history := History{Demand: repeat([]float64{0, 0, 3, 0, 9, 1, 0}, 8)}
	for _, name := range Names() {
		if f := NewChooser(Flat).Only(name).Choose(history, 7); f.Method != name {
			t.Errorf("left with %s, it takes %s", name, f.Method)
		}
	}
}
