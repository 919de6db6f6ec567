package series

import "math"

// # Seasons
//
// A series is seasonal if it has three periods at least and the autocorrelation at the lag of one period is beyond
// the 90 % limit of Bartlett's formula, as the organisers of M3 and M4 tested it (Makridakis, Spiliotis and
// Assimakopoulos, The M4 Competition, International Journal of Forecasting 36, 2020, and its published R code):
//
//	|r[m]| > 1.645 · sqrt((1 + 2 (r[1]² + ... + r[m-1]²)) / n)
//
// It is then divided by the indices of the classical decomposition: the ratio to the centred moving average of a
// period, meaned by season, scaled to a mean of one. A series with a value that is not positive is decomposed by
// differences instead.

// seasonLimit is the standard normal quantile of 0.95: 90 % on both sides.
const seasonLimit = 1.645

// indices are a period's, the first that of y[0]; nil: the series is not seasonal.
type indices struct {
	of       []float64
	additive bool
}

func (x indices) take(v float64, i int) float64 {
	switch {
	case x.of == nil:
		return v
	case x.additive:
		return v - x.of[i%len(x.of)]
	}
	return v / x.of[i%len(x.of)]
}

func (x indices) give(v float64, i int) float64 {
	switch {
	case x.of == nil:
		return v
	case x.additive:
		return v + x.of[i%len(x.of)]
	}
	return v * x.of[i%len(x.of)]
}

// adjusted has a method forecast the seasonally adjusted series, and gives the season back to what it forecasts.
func adjusted(f func(y []float64, horizon int) []float64) func(y []float64, period, horizon int) []float64 {
	return func(y []float64, period, horizon int) []float64 {
		var x indices
		if seasonal(y, period) {
			x = decompose(y, period)
		}
		if x.of == nil {
			return f(y, horizon)
		}
		without := make([]float64, len(y))
		for i, v := range y {
			without[i] = x.take(v, i)
		}
		out := f(without, horizon)
		for i := range out {
			out[i] = x.give(out[i], len(y)+i)
		}
		return out
	}
}

// seasonal tests the autocorrelation at the lag of a period.
func seasonal(y []float64, period int) bool {
	if period < 2 || len(y) < 3*period {
		return false
	}
	m := average(y)
	variance := 0.0
	for _, v := range y {
		variance += (v - m) * (v - m)
	}
	if variance <= 0 {
		return false
	}
	limit, r := 1.0, 0.0
	for lag := 1; lag <= period; lag++ {
		r = 0
		for i := lag; i < len(y); i++ {
			r += (y[i] - m) * (y[i-lag] - m)
		}
		r /= variance
		if lag < period {
			limit += 2 * r * r
		}
	}
	return math.Abs(r) > seasonLimit*math.Sqrt(limit/float64(len(y)))
}

// decompose gives the indices of the classical decomposition.
func decompose(y []float64, period int) indices {
	x := indices{of: make([]float64, period)}
	for _, v := range y {
		x.additive = x.additive || v <= 0
	}
	count := make([]float64, period)
	half := period / 2
	for i := half; i+half < len(y); i++ {
		trend := 0.0
		for k := i - half; k <= i+half; k++ {
			weight := 1.0
			if period%2 == 0 && (k == i-half || k == i+half) {
				weight = 0.5
			}
			trend += weight * y[k]
		}
		trend /= float64(period)
		count[i%period]++
		if x.additive {
			x.of[i%period] += y[i] - trend
		} else {
			x.of[i%period] += y[i] / trend
		}
	}
	for s := range x.of {
		x.of[s] /= max(1, count[s])
	}
	m := average(x.of)
	for s := range x.of {
		if x.additive {
			x.of[s] -= m
		} else {
			x.of[s] /= m
		}
	}
	return x
}
