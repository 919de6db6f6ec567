package measure_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/composerp/composerp/workers/analytics/measure"
)

func near(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(b))
}

var always = measure.Days{From: math.MinInt, To: math.MaxInt}

// A table worked by hand. Demand, day by day, and two forecasts: of the one made after
// day 7 three days count, and of the one after day 10 two have closed:
//
//	day       0  1  2  3  4  5  6  7  8  9 10 11 12
//	demand    0  4  0  2  0  0  6  4  2  8  0  4  4
//	forecast                          3  3  3  2  5
//	error                             1 -5  3 -2  1
//	naive                             4  4  4  0  0   error  2 -4  4 -4 -4
//	seasonal                          4  0  2  0  0   error  2 -8  2 -4 -4
//
// Units 18 on five days. Changes from the first demand (day 1) on: 4 2 2 0 6 2 2 6
// 8 4 0: sum 36, squares 184, of eleven.
func byHand() measure.Item {
	return measure.Item{
		Demand:    []float64{0, 4, 0, 2, 0, 0, 6, 4, 2, 8, 0, 4, 4},
		Forecasts: []measure.Forecast{{Start: 8, Daily: []float64{3, 3, 3, 9, 9}}, {Start: 11, Daily: []float64{2, 5, 7, 7, 7}}},
	}
}

func TestByHand(t *testing.T) {
	t.Parallel()
	r := measure.Of(byHand(), 3, always)
	if r.Days != 5 || r.Units != 18 || !r.Scaled {
		t.Errorf("measured %d days of %v units", r.Days, r.Units)
	}
	mae, mse := 36.0/11, 184.0/11
	for name, c := range map[string]struct{ got, want measure.Errors }{
		"forecast": {r.Forecast, measure.Errors{Bias: -2.0 / 5, BiasPart: -2.0 / 18, MASE: 12.0 / 5 / mae, RMSSE: math.Sqrt(40.0 / 5 / mse)}},
		"naive":    {r.Naive, measure.Errors{Bias: -6.0 / 5, BiasPart: -6.0 / 18, MASE: 18.0 / 5 / mae, RMSSE: math.Sqrt(68.0 / 5 / mse)}},
		"seasonal": {r.Seasonal, measure.Errors{Bias: -12.0 / 5, BiasPart: -12.0 / 18, MASE: 20.0 / 5 / mae, RMSSE: math.Sqrt(104.0 / 5 / mse)}},
	} {
		if !near(c.got.Bias, c.want.Bias) || !near(c.got.BiasPart, c.want.BiasPart) || !near(c.got.MASE, c.want.MASE) || !near(c.got.RMSSE, c.want.RMSSE) {
			t.Errorf("%s: got %+v, want %+v", name, c.got, c.want)
		}
	}
}

// The seasonal naive forecast of the second week is that of the first: the first is not known when it is made.
func TestSeasonsRepeat(t *testing.T) {
	t.Parallel()
	demand := []float64{1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7, 2, 2, 3, 4, 5, 6, 7}
	r := measure.Of(measure.Item{Demand: demand, Forecasts: []measure.Forecast{{Start: 7, Daily: make([]float64, 14)}}}, 14, always)
	if r.Days != 14 || !near(r.Seasonal.Bias, -1.0/14) {
		t.Errorf("over %d days it is off by %v, want one unit on one day", r.Days, r.Seasonal.Bias)
	}
}

func TestWhichDaysCount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		horizon int
		days    measure.Days
		want    int
		units   float64
	}{
		"one day of each":               {1, always, 2, 6},
		"all that is closed":            {30, always, 7, 26},
		"from a day on":                 {3, measure.Days{From: 10, To: math.MaxInt}, 3, 8},
		"to a day":                      {3, measure.Days{From: math.MinInt, To: 9}, 2, 10},
		"a day in both":                 {5, measure.Days{From: 11, To: 11}, 2, 8},
		"before all":                    {3, measure.Days{From: 0, To: 7}, 0, 0},
		"after all":                     {3, measure.Days{From: 13, To: 99}, 0, 0},
		"a horizon beyond the forecast": {99, measure.Days{From: 8, To: 8}, 1, 2},
	} {
		if r := measure.Of(byHand(), c.horizon, c.days); r.Days != c.want || r.Units != c.units {
			t.Errorf("%s: %d days of %v units, want %d of %v", name, r.Days, r.Units, c.want, c.units)
		}
	}
}

func TestWhatHasNoScale(t *testing.T) {
	t.Parallel()
	forecasts := []measure.Forecast{{Start: 2, Daily: []float64{5}}}
	for _, demand := range [][]float64{{0, 0, 0}, {5, 5, 5}, {0, 0, 7}} {
		r := measure.Of(measure.Item{Demand: demand, Forecasts: forecasts}, 7, always)
		if r.Days != 1 || r.Scaled {
			t.Errorf("%v is measured with a scale: %+v", demand, r)
		}
		var all measure.Adder
		all.Add(r)
		all.Add(measure.Of(byHand(), 3, always))
		if o := all.Overall(); o.Items != 1 || o.Unscaled != 1 || o.Days != 6 || math.IsNaN(o.Forecast.RMSSE) {
			t.Errorf("beside %v all items together are %+v", demand, o)
		}
	}
	if r := measure.Of(measure.Item{Demand: []float64{1, 2}}, 7, always); r.Days != 0 {
		t.Errorf("without a forecast %+v", r)
	}
}

// Two items: one of 18 units, one of 2 with errors of its own.
func TestAllItemsTogether(t *testing.T) {
	t.Parallel()
	one := measure.Of(byHand(), 3, always)
	two := measure.Of(measure.Item{Demand: []float64{1, 0, 2}, Forecasts: []measure.Forecast{{Start: 2, Daily: []float64{1}}}}, 7, always)
	// Changes 1 and 2: scale 1.5, squared 2.5; the error is -1.
	if !near(two.Forecast.MASE, 1/1.5) || !near(two.Forecast.RMSSE, math.Sqrt(1/2.5)) {
		t.Fatalf("the second item is %+v", two.Forecast)
	}
	var all measure.Adder
	all.Add(one)
	all.Add(two)
	o := all.Overall()
	want := measure.Together{
		Bias: -3.0 / 6, BiasPart: -3.0 / 20, MASE: (one.Forecast.MASE + two.Forecast.MASE) / 2, RMSSE: (one.Forecast.RMSSE + two.Forecast.RMSSE) / 2,
		WeightedMASE: (18*one.Forecast.MASE + 2*two.Forecast.MASE) / 20, WeightedRMSSE: (18*one.Forecast.RMSSE + 2*two.Forecast.RMSSE) / 20,
	}
	got := o.Forecast
	if o.Items != 2 || o.Days != 6 || o.Units != 20 || !near(got.Bias, want.Bias) || !near(got.BiasPart, want.BiasPart) || !near(got.MASE, want.MASE) ||
		!near(got.RMSSE, want.RMSSE) || !near(got.WeightedMASE, want.WeightedMASE) || !near(got.WeightedRMSSE, want.WeightedRMSSE) {
		t.Errorf("all together are %+v, want %+v", o, want)
	}
	if again := all.Overall(); again.Forecast != o.Forecast {
		t.Errorf("asked again they are %+v", again.Forecast)
	}
	var none measure.Adder
	if o := none.Overall(); o.Items != 0 || !math.IsNaN(o.Forecast.RMSSE) {
		t.Errorf("nothing together is %+v", o)
	}
}

// A forecast equal to the naive one gets their measures; ten times the units, the
// same MASE and RMSSE.
func TestMeasuresAreRelative(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		demand := rapid.SliceOfN(rapid.Float64Range(0, 50), 20, 60).Draw(t, "demand")
		start := rapid.IntRange(7, len(demand)-1).Draw(t, "start")
		naive, tenfold := make([]float64, 7), make([]float64, len(demand))
		for i := range naive {
			naive[i] = demand[start-1]
		}
		for i := range demand {
			tenfold[i] = 10 * demand[i]
		}
		r := measure.Of(measure.Item{Demand: demand, Forecasts: []measure.Forecast{{Start: start, Daily: naive}}}, 7, always)
		if r.Scaled && (!near(r.Forecast.RMSSE, r.Naive.RMSSE) || !near(r.Forecast.MASE, r.Naive.MASE) || !near(r.Forecast.Bias, r.Naive.Bias)) {
			t.Fatalf("%+v is not %+v", r.Forecast, r.Naive)
		}
		s := measure.Of(measure.Item{Demand: tenfold, Forecasts: []measure.Forecast{{Start: start, Daily: naive}}}, 7, always)
		if r.Scaled && !(math.Abs(s.Seasonal.RMSSE-r.Seasonal.RMSSE) < 1e-6 && math.Abs(s.Seasonal.MASE-r.Seasonal.MASE) < 1e-6) {
			t.Fatalf("tenfold %+v is not %+v", s.Seasonal, r.Seasonal)
		}
	})
}
