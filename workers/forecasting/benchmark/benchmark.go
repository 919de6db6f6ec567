// Package benchmark measures forecasting methods on series whose last values are held back. It reads files and does
// arithmetic; the same files give the same figures, but for the times.
//
// # Formulas
//
// y are the values held back, f their forecasts, n the values before, m the period, e = f - y. Each series' measure is
// the mean over its horizon, the figure of a method the mean over the series.
//
//	sMAPE     mean(200 |e| / (|y| + |f|)), 0 where both are 0: percent, 0 to 200
//	          Makridakis and Hibon, The M3-Competition, International Journal of Forecasting 16, 2000
//	MASE      mean(|e|) / mean(|y[t] - y[t-m]|) of the values before
//	          Hyndman and Koehler, International Journal of Forecasting 22, 2006, seasonal as in M4; m = 1 where the
//	          series is not longer than a period
//	RMSSE     sqrt(mean(e²) / mean((y[t] - y[t-1])²)), the latter of the values from the first that is not 0
//	          Makridakis, Spiliotis and Assimakopoulos, The M5 accuracy competition, International Journal of
//	          Forecasting 38, 2022
//	bias      sum(e) / sum(y) over all series, in percent
//	coverage  the part of the values held back within f ± 1.96 σ, in percent: nominal is 95 (M4's level); σ is
//	          series.Method.Deviations. Series too short for it are left out.
//
// A series that never changed before its end has neither MASE nor RMSSE: it is left out of them, and counted.
package benchmark

import (
	"context"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/workers/forecasting/method"
	"github.com/composerp/composerp/workers/forecasting/series"
)

// Nominal is the nominal coverage of the intervals, in percent.
const Nominal = 95

// nominalQuantile is the standard normal quantile of both sides of Nominal.
const nominalQuantile = 1.959963984540054

// Figures are what a method came to. NaN: there was nothing to measure it by.
type Figures struct {
	Method string
	// Simple: it is one of those that a better one has to beat.
	Simple bool
	// SMAPE, Bias and Coverage are in percent.
	SMAPE, MASE, RMSSE, Bias, Coverage float64
	// Took is the time of all forecasts of the method, without those for the interval.
	Took time.Duration
}

// Report is of all methods on the same series.
type Report struct {
	Series, HeldBack int
	// Unscaled series never changed, and Short ones have no interval.
	Unscaled, Short int
	Methods         []Figures
}

// Worker is the name of the row with what the forecasting worker does with daily series.
const Worker = "worker"

// way is a method to measure.
type way struct {
	name       string
	simple     bool
	forecast   func(s *Series) []float64
	deviations func(s *Series) []float64
}

// waysOf are the methods, and if all series have weeks of seven days, what the worker would do: then the series are
// taken to end on the same day, as those of one location do.
func waysOf(all []Series) []way {
	var ways []way
	for _, m := range series.Methods() {
		ways = append(ways, way{m.Name, m.Simple,
			func(s *Series) []float64 { return m.Forecast(s.history(), s.Period, s.Horizon) },
			func(s *Series) []float64 { return m.Deviations(s.history(), s.Period, s.Horizon) }})
	}
	longest := 0
	for i := range all {
		if all[i].Period != daysOfWeek {
			return ways
		}
		longest = max(longest, len(all[i].history()))
	}
	trade := make([]float64, longest)
	for i := range all {
		h := all[i].history()
		for k, v := range h {
			if v > 0 {
				trade[longest-len(h)+k]++
			}
		}
	}
	week := method.ProfileOf(trade, time.Sunday)
	choose := func(s *Series) method.Forecast {
		h := s.history()
		from := max(0, len(h)-method.Longest)
		return method.NewChooser(week).Choose(method.History{Demand: h[from:], First: time.Weekday((longest - len(h) + from) % daysOfWeek)}, s.Horizon)
	}
	return append(ways, way{Worker, false,
		func(s *Series) []float64 { return choose(s).Daily },
		func(s *Series) []float64 {
			d := make([]float64, s.Horizon)
			for i := range d {
				d[i] = choose(s).ErrorStdDev
			}
			return d
		}})
}

const daysOfWeek = 7

// scale is what a series' errors are divided by.
type scale struct{ absolute, squared float64 }

func scaleOf(y []float64, period int) (s scale) {
	if len(y) <= period {
		period = 1
	}
	for i := period; i < len(y); i++ {
		s.absolute += math.Abs(y[i]-y[i-period]) / float64(len(y)-period)
	}
	first := 0
	for first < len(y)-1 && y[first] == 0 {
		first++
	}
	for i := first + 1; i < len(y); i++ {
		s.squared += (y[i] - y[i-1]) * (y[i] - y[i-1]) / float64(len(y)-first-1)
	}
	return s
}

// measured is what one method came to on one series.
type measured struct {
	smape, mase, rmsse float64
	errors, covered    float64
	took               time.Duration
}

func measure(s *Series, w way, by scale) (m measured) {
	began := time.Now()
	f := w.forecast(s)
	m.took = time.Since(began)
	deviations := w.deviations(s)
	n := float64(s.Horizon)
	var squares float64
	for i, y := range s.happened() {
		e := f[i] - y
		m.errors += e
		squares += e * e / n
		m.mase += math.Abs(e) / n
		if sum := math.Abs(y) + math.Abs(f[i]); sum > 0 {
			m.smape += 200 * math.Abs(e) / sum / n
		}
		switch {
		case math.IsNaN(deviations[i]):
			m.covered = math.NaN()
		case math.Abs(e) <= nominalQuantile*deviations[i]:
			m.covered++
		}
	}
	m.mase /= by.absolute
	m.rmsse = math.Sqrt(squares / by.squared)
	return m
}

// Run measures all methods on all series, with as many goroutines as there are processors. Progress, if not nil, is
// called with how many series are done; from one goroutine at a time.
func Run(ctx context.Context, all []Series, progress func(done, all int)) (Report, error) {
	return run(ctx, all, waysOf(all), progress)
}

func run(ctx context.Context, all []Series, ways []way, progress func(done, all int)) (Report, error) {
	results := make([][]measured, len(all))
	scales := make([]scale, len(all))
	var done atomic.Int64
	turn := make(chan struct{}, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range all {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			scales[i] = scaleOf(all[i].history(), all[i].Period)
			results[i] = make([]measured, len(ways))
			for k, w := range ways {
				if err := ctx.Err(); err != nil {
					return err
				}
				results[i][k] = measure(&all[i], w, scales[i])
			}
			n := done.Add(1)
			if progress != nil {
				turn <- struct{}{}
				progress(int(n), len(all))
				<-turn
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Report{}, err
	}
	if err := context.Cause(ctx); err != nil && len(results[len(all)-1]) == 0 {
		return Report{}, err
	}
	return reportOf(all, ways, scales, results), nil
}

// reportOf adds up in the order of the series, so that the digits are the same on every run.
func reportOf(all []Series, ways []way, scales []scale, results [][]measured) Report {
	r := Report{Series: len(all)}
	for i := range all {
		r.HeldBack += all[i].Horizon
		if scales[i].absolute == 0 || scales[i].squared == 0 {
			r.Unscaled++
		}
	}
	for k, w := range ways {
		f := Figures{Method: w.name, Simple: w.simple}
		var errors, units, covered, with float64
		short := 0
		for i := range all {
			m := &results[i][k]
			f.Took += m.took
			f.SMAPE += m.smape / float64(len(all))
			if scales[i].absolute > 0 && scales[i].squared > 0 {
				f.MASE += m.mase
				f.RMSSE += m.rmsse
			}
			errors += m.errors
			for _, y := range all[i].happened() {
				units += y
			}
			if math.IsNaN(m.covered) {
				short++
				continue
			}
			covered, with = covered+m.covered, with+float64(all[i].Horizon)
		}
		scaled := float64(r.Series - r.Unscaled)
		f.MASE, f.RMSSE, f.Bias, f.Coverage = f.MASE/scaled, f.RMSSE/scaled, 100*errors/units, 100*covered/with
		r.Short = max(r.Short, short)
		r.Methods = append(r.Methods, f)
	}
	return r
}
