package series

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Max(1, math.Abs(b)) }

func forecast(t testing.TB, name string, y []float64, period, horizon int) []float64 {
	t.Helper()
	m, known := Named(name)
	if !known {
		t.Fatalf("no method is named %q", name)
	}
	return m.Forecast(y, period, horizon)
}

// Worked by hand.
func TestByHand(t *testing.T) {
	t.Parallel()
	intermittent := []float64{0, 2, 0, 1, 0, 0, 0, 0, 4, 0, 0, 1} // sizes 2 1 4 1, intervals 2 2 5 3
	size, interval := 2.0, 3.0                                    // their means
	for _, d := range [][2]float64{{2, 2}, {1, 2}, {4, 5}, {1, 3}} {
		size, interval = size+0.1*(d[0]-size), interval+0.1*(d[1]-interval)
	}
	tsbSize, probability := 2.0, 4.0/12
	for _, v := range intermittent {
		if v > 0 {
			tsbSize += 0.2 * (v - tsbSize)
			probability += 0.2 * (1 - probability)
		} else {
			probability *= 0.8
		}
	}
	line := []float64{3, 5, 7, 9, 11, 13, 15, 17}
	for name, c := range map[string]struct {
		method string
		y      []float64
		period int
		want   []float64
	}{
		"naive":                     {"naive", []float64{1, 2, 7}, 1, []float64{7, 7, 7}},
		"seasonal naive":            {"seasonal naive", []float64{9, 1, 2, 3}, 3, []float64{1, 2, 3, 1}},
		"younger than a season":     {"seasonal naive", []float64{9, 4}, 3, []float64{4, 4}},
		"mean of the last twelve":   {"mean", []float64{99, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 1, []float64{6.5, 6.5}},
		"a line goes on":            {"Holt", line, 1, []float64{19, 21, 23}},
		"theta of a constant":       {"theta", []float64{5, 5, 5, 5, 5}, 1, []float64{5, 5}},
		"Croston":                   {"Croston", intermittent, 1, []float64{size / interval}},
		"SBA":                       {"SBA", intermittent, 1, []float64{0.95 * size / interval}},
		"TSB":                       {"TSB", intermittent, 1, []float64{tsbSize * probability}},
		"TSB-mean":                  {"TSB-mean", intermittent, 1, []float64{(tsbSize*probability + 8.0/12) / 2}},
		"chosen of an intermittent": {"chosen", intermittent, 1, []float64{(tsbSize*probability + 8.0/12) / 2}},
		"nothing":                   {"combination", nil, 12, []float64{0, 0}},
		"nothing but zeros":         {"TSB", []float64{0, 0, 0}, 1, []float64{0}},
		"never below zero":          {"Holt", []float64{9, 7, 5, 3, 1}, 1, []float64{0, 0}},
		"below zero where it was":   {"Holt", []float64{5, 3, 1, -1, -3}, 1, []float64{-5, -7}},
	} {
		got := forecast(t, c.method, c.y, c.period, len(c.want))
		for i := range c.want {
			if math.Abs(got[i]-c.want[i]) > 1e-6 {
				t.Errorf("%s: %s expects %v, want %v", name, c.method, got, c.want)
				break
			}
		}
	}
}

// saudi is the oil production of Saudi Arabia, 1996 to 2007, in million tonnes: the example of simple exponential
// smoothing in Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 2nd ed. (2018), 7.1, which prints
// α = 0.83, first level 446.6, and 542.68 for every year to come.
var saudi = []float64{445.3641, 453.1950, 454.4096, 422.3789, 456.0371, 440.3866, 425.1944, 486.2052, 500.4291, 521.2759, 508.9476, 488.8889, 509.8706, 456.7229, 473.8166, 525.9509, 549.8338, 542.3405}

func TestSESOfTheTextbook(t *testing.T) {
	t.Parallel()
	alpha := bestAlpha(saudi)
	first, _ := fitLevel(saudi, alpha)
	got := forecast(t, "SES", saudi, 1, 2)
	if math.Abs(alpha-0.83) > 0.01 || math.Abs(first-446.6) > 0.2 || math.Abs(got[0]-542.68) > 0.1 || got[1] != got[0] {
		t.Errorf("α %v, first level %v, forecast %v; want 0.83, 446.6 and 542.68", alpha, first, got)
	}
}

// The first level that fitLevel computes is the best: any other has more squared errors. So are level and trend.
func TestFirstStatesAreThoseOfLeastSquares(t *testing.T) {
	t.Parallel()
	direct := func(l, b, alpha, beta, phi float64) (squares float64) {
		for _, v := range saudi {
			e := v - l - phi*b
			squares += e * e
			l += phi*b + alpha*e
			b = phi*b + alpha*beta*e
		}
		return squares
	}
	first, squares := fitLevel(saudi, 0.4)
	if want := direct(first, 0, 0.4, 0, 1); !near(squares, want) {
		t.Errorf("squares %v, those of the recursion %v", squares, want)
	}
	for _, other := range []float64{first - 1, first + 1} {
		if direct(other, 0, 0.4, 0, 1) <= squares {
			t.Errorf("the first level %v is better than %v", other, first)
		}
	}
	_, trended := fitTrend(saudi, 0.4, 0.2, 0.9)
	at := search(func(x []float64) float64 { return direct(400+100*x[0], -20+40*x[1], 0.4, 0.2, 0.9) }, []float64{0.5, 0.5}, 400)
	if best := direct(400+100*at[0], -20+40*at[1], 0.4, 0.2, 0.9); math.Abs(best-trended) > 1e-3*best {
		t.Errorf("squares %v, a search finds %v", trended, best)
	}
}

// Theta is SES with a drift of half the slope of the regression (Hyndman and Billah, Unmasking the Theta method,
// International Journal of Forecasting 19, 2003): from one step to the next it grows by that.
func TestThetaIsSESWithDrift(t *testing.T) {
	t.Parallel()
	_, slope := regression(saudi)
	f := forecast(t, "theta", saudi, 1, 3)
	if !near(f[1]-f[0], slope/2) || !near(f[2]-f[1], slope/2) {
		t.Errorf("%v grows by %v, want %v", f, f[1]-f[0], slope/2)
	}
	if a, b := regression([]float64{3, 5, 7}); !near(a, 1) || !near(b, 2) {
		t.Errorf("the line of 3 5 7 is %v + %v t", a, b)
	}
}

// The dynamic model's line is the regression of the values so far.
func TestMovingLineIsTheRegression(t *testing.T) {
	t.Parallel()
	var m moving
	for i, v := range saudi {
		m.observe(v)
		a, b := regression(saudi[:i+1])
		if !near(m.a, a) || !near(m.b, b) {
			t.Fatalf("after %d values it is %v + %v t, want %v + %v t", i+1, m.a, m.b, a, b)
		}
	}
	// With θ at one it is SES: its squares are those of SES's first level, but for the two values not scored.
	if _, omega, _ := fitTheta([]float64{5, 5, 5, 5, 5, 5, 5}, 0.5); omega < 0 || omega > 1 {
		t.Errorf("ω is %v", omega)
	}
}

// A pure season is found, taken away and given back, as factors and as differences.
func TestSeasons(t *testing.T) {
	t.Parallel()
	year := []float64{10, 20, 30, 20}
	var y, below []float64
	for range 5 {
		y = append(y, year...)
	}
	for _, v := range y {
		below = append(below, v-20)
	}
	if !seasonal(y, 4) || seasonal(y, 5) || seasonal(y[:11], 4) || seasonal(slices.Repeat([]float64{3}, 40), 4) {
		t.Error("the season of four was not told from none")
	}
	for _, method := range []string{"SES", "damped", "theta", "optimised theta", "combination", "Holt-Winters"} {
		for i, v := range forecast(t, method, y, 4, 8) {
			if math.Abs(v-year[i%4]) > 0.05 {
				t.Errorf("%s expects %v at step %d, want %v", method, v, i+1, year[i%4])
			}
		}
		for i, v := range forecast(t, method, below, 4, 8) {
			if math.Abs(v-year[i%4]+20) > 0.05 {
				t.Errorf("%s expects %v at step %d, want %v", method, v, i+1, year[i%4]-20)
			}
		}
	}
	// A month that sells twice the others does so next year.
	x := decompose(slices.Concat(slices.Repeat([]float64{1, 1, 1, 2}, 6)), 4)
	if !near(x.of[3]/x.of[0], 2) || x.additive {
		t.Errorf("the indices are %v", x.of)
	}
}

// l + (φ + φ² + ...) b, by hand; and a line that damps nothing in the optimised theta, whose θ is free.
func TestTrendsGoOn(t *testing.T) {
	t.Parallel()
	if f := (tail{level: 10, trend: 2}).run(0.5, 3); !slices.Equal(f, []float64{11, 11.5, 11.75}) {
		t.Errorf("a damped trend goes on by %v", f)
	}
	line := make([]float64, 40)
	for i := range line {
		line[i] = 100 + 2*float64(i)
	}
	for i, v := range forecast(t, "optimised theta", line, 1, 5) {
		if want := 180 + 2*float64(i); math.Abs(v-want) > 0.5 {
			t.Errorf("the optimised theta expects %v at step %d, want %v", v, i+1, want)
		}
	}
}

// A season that changes is followed: the fourth quarter grows from 20 to 40 in ten years, and the mean index of the
// decomposition is what the others keep to.
func TestHoltWintersFollowsItsSeason(t *testing.T) {
	t.Parallel()
	var y []float64
	for year := range 10 {
		y = append(y, 30, 30, 30, 20+2*float64(year))
	}
	moving, fixed := forecast(t, "Holt-Winters", y, 4, 4)[3], forecast(t, "SES", y, 4, 4)[3]
	if math.Abs(moving-40) > 3 || math.Abs(fixed-40) < 2*math.Abs(moving-40) {
		t.Errorf("of a quarter that grows to 40 it expects %v, and fixed indices %v", moving, fixed)
	}
}

func TestLowestFindsTheLowest(t *testing.T) {
	t.Parallel()
	for _, at := range []float64{0.001, 0.3, 0.777, 0.999} {
		if got := lowest(func(x float64) float64 { return (x - at) * (x - at) }, 0.001, 0.999); math.Abs(got-at) > 1e-3 {
			t.Errorf("the lowest point is at %v, found %v", at, got)
		}
	}
	got := search(func(x []float64) float64 {
		return math.Pow(x[0]-0.2, 2) + math.Pow(x[1]-0.9, 2) + math.Pow(x[0]+x[1]-1.1, 2)
	}, []float64{0.5, 0.5}, 200)
	if math.Abs(got[0]-0.2) > 1e-2 || math.Abs(got[1]-0.9) > 1e-2 {
		t.Errorf("the lowest point is at 0.2, 0.9, found %v", got)
	}
}

// The combination is the median of its three parts, step by step.
func TestCombinationIsTheMedian(t *testing.T) {
	t.Parallel()
	parts := [][]float64{forecast(t, "damped", saudi, 1, 6), forecast(t, "theta", saudi, 1, 6), forecast(t, "optimised theta", saudi, 1, 6)}
	for i, v := range forecast(t, "combination", saudi, 1, 6) {
		at := []float64{parts[0][i], parts[1][i], parts[2][i]}
		slices.Sort(at)
		if v != at[1] {
			t.Errorf("step %d is %v of %v", i+1, v, at)
		}
	}
	if median([]float64{4, 1, 3, 2}) != 2.5 {
		t.Error("the median of 1 2 3 4 is not 2.5")
	}
}

// The errors of the naive method on 0 1 2 ... are the steps ahead: σ² is the line through their squares.
func TestDeviationsGrowWithTheSteps(t *testing.T) {
	t.Parallel()
	y := make([]float64, 30)
	for i := range y {
		y[i] = float64(i)
	}
	m, _ := Named("naive")
	got := m.Deviations(y, 1, 2)
	if !near(got[0], 1) || !near(got[1], 2) { // squares 1 and 4: a is -2, so that 9/5 j with a of zero
		if !near(got[0], math.Sqrt(1.8)) || !near(got[1], math.Sqrt(3.6)) {
			t.Errorf("the deviations are %v", got)
		}
	}
	if short := m.Deviations(y[:8], 1, 2); !math.IsNaN(short[0]) {
		t.Errorf("without a back-test they are %v", short)
	}
}

// Whatever the series: as many numbers as asked for, the same again, and none negative where none was.
func TestForecastsAreNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0, 100), rapid.Float64Range(0, 1e12))
		y := rapid.SliceOfN(value, 0, 60).Draw(t, "y")
		period, horizon := rapid.IntRange(1, 13).Draw(t, "period"), rapid.IntRange(1, 20).Draw(t, "horizon")
		before := slices.Clone(y)
		for _, m := range Methods() {
			f := m.Forecast(y, period, horizon)
			if len(f) != horizon || !slices.Equal(f, m.Forecast(y, period, horizon)) || !slices.Equal(y, before) {
				t.Fatalf("%s: %v, then %v", m.Name, f, m.Forecast(y, period, horizon))
			}
			for _, v := range f {
				if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
					t.Fatalf("%s expects %v", m.Name, f)
				}
			}
		}
	})
}

// 3,600 items of two years of weeks are forecast well within a minute.
func BenchmarkChosen(b *testing.B) {
	y := make([]float64, 104)
	for i := range y {
		y[i] = 50 + 20*math.Sin(float64(i)) + float64(i%7)
	}
	m, _ := Named("chosen")
	for b.Loop() {
		m.Forecast(y, 52, 13)
	}
}
