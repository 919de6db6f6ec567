package series

import "math"

// # Smoothing
//
// All have the form of an error correction:
//
//	e = y - (l + φ b),  l' = l + φ b + α e,  b' = φ b + α β e
//
// with b = 0 for SES and φ = 1 for Holt (Hyndman, Koehler, Ord and Snyder, Forecasting with Exponential Smoothing,
// 2008, chapter 2; their β is αβ here). α, β and φ are those of the least sum of squared errors one step ahead. The
// errors are linear in the first level and trend, so that these follow from α, β and φ by linear least squares and
// need no search.

// tail is a smoothed series' last state.
type tail struct{ level, trend float64 }

// alphaBounds are those of the smoothing constants that are searched.
const leastAlpha, mostAlpha = 0.001, 0.999

// fitLevel gives the first level of SES by least squares and its sum of squared errors: the error of step t is that
// from a first level of zero less l0 (1 - α)^t.
func fitLevel(y []float64, alpha float64) (first, squares float64) {
	var level, ee, ew, ww float64
	weight := 1.0
	for _, v := range y {
		e := v - level
		ee += e * e
		ew += e * weight
		ww += weight * weight
		level += alpha * e
		weight *= 1 - alpha
	}
	first = ew / ww
	return first, ee - first*ew
}

// bestAlpha is the smoothing constant of the least squared errors.
func bestAlpha(y []float64) float64 {
	return lowest(func(alpha float64) float64 { _, squares := fitLevel(y, alpha); return squares }, leastAlpha, mostAlpha)
}

// sesLevel is the last level of SES.
func sesLevel(y []float64) float64 {
	alpha := bestAlpha(y)
	level, _ := fitLevel(y, alpha)
	for _, v := range y {
		level += alpha * (v - level)
	}
	return level
}

func ses(y []float64, horizon int) []float64 { return flat(sesLevel(y), horizon) }

// fitTrend smooths with a trend from the first level and trend that fit best, and gives the last ones and the sum of
// squared errors.
func fitTrend(y []float64, alpha, beta, phi float64) (last tail, squares float64) {
	type state struct{ l, b, e float64 }
	var p, u, w state // of y from (0, 0); of zeros from (1, 0) and (0, 1)
	u.l, w.b = 1, 1
	ab := alpha * beta
	step := func(s *state, v float64) {
		fade := phi * s.b
		s.e = v - s.l - fade
		s.l += fade + alpha*s.e
		s.b = fade + ab*s.e
	}
	var pp, pu, pw, uu, uw, ww float64
	for _, v := range y {
		step(&p, v)
		step(&u, 0)
		step(&w, 0)
		pp += p.e * p.e
		pu += p.e * u.e
		pw += p.e * w.e
		uu += u.e * u.e
		uw += u.e * w.e
		ww += w.e * w.e
	}
	// The errors are p.e + l0 u.e + b0 w.e.
	det := uu*ww - uw*uw
	if det <= 1e-12*uu*ww {
		l0 := -pu / uu
		return tail{p.l + l0*u.l, p.b + l0*u.b}, pp + l0*pu
	}
	l0, b0 := (pw*uw-pu*ww)/det, (pu*uw-pw*uu)/det
	return tail{p.l + l0*u.l + b0*w.l, p.b + l0*u.b + b0*w.b}, pp + l0*pu + b0*pw
}

// leastForTrend is how many values a trend is fitted to; shorter ones are smoothed without.
const leastForTrend = 5

// searches is how often a sum of squares is computed at most for one fit.
const searches = 90

func holt(y []float64, horizon int) []float64 {
	if len(y) < leastForTrend {
		return ses(y, horizon)
	}
	at := func(x []float64) (tail, float64) { return fitTrend(y, bounded(x[0]), x[1], 1) }
	x := search(func(x []float64) float64 { _, squares := at(x); return squares }, []float64{0.5, 0.1}, searches)
	last, _ := at(x)
	return last.run(1, horizon)
}

// bounded maps the unit interval to what α may be.
func bounded(x float64) float64 { return leastAlpha + x*(mostAlpha-leastAlpha) }

// A damped trend's φ is between these, as R's forecast package has it.
const leastPhi, mostPhi = 0.8, 0.98

func damped(y []float64, horizon int) []float64 {
	if len(y) < leastForTrend {
		return ses(y, horizon)
	}
	phiOf := func(x []float64) float64 { return leastPhi + x[2]*(mostPhi-leastPhi) }
	at := func(x []float64) (tail, float64) { return fitTrend(y, bounded(x[0]), x[1], phiOf(x)) }
	x := search(func(x []float64) float64 { _, squares := at(x); return squares }, []float64{0.5, 0.1, 0.7}, searches)
	last, _ := at(x)
	return last.run(phiOf(x), horizon)
}

// run goes on from the last state: l + (φ + ... + φ^h) b.
func (t tail) run(phi float64, horizon int) []float64 {
	f := make([]float64, horizon)
	sum, power := 0.0, 1.0
	for i := range f {
		power *= phi
		sum += power
		f[i] = t.level + sum*t.trend
	}
	return f
}

// holtWinters is Holt's with an index for each season of the period, smoothed too: l, b as above by the adjusted
// value, s' = s + γ (1 - α) e, divided by the level where the indices are factors. The first indices are those of the
// decomposition, the first level and trend those of the first two periods. A series that is not seasonal by the test,
// or too short, is Holt's.
func holtWinters(y []float64, period, horizon int) []float64 {
	if !seasonal(y, period) {
		return holt(y, horizon)
	}
	x := decompose(y, period)
	before, after := average(y[:period]), average(y[period:2*period])
	first := tail{before - (after-before)*float64(period+1)/(2*float64(period)), (after - before) / float64(period)}
	s := append([]float64{}, x.of...)
	walk := func(at []float64) (tail, float64) {
		copy(s, x.of)
		alpha, beta, gamma := bounded(at[0]), at[1], at[2]
		t, squares := first, 0.0
		for i, v := range y {
			k := i % period
			was := t.level + t.trend
			var e float64 // of the adjusted value
			if x.additive {
				e = v - was - s[k]
				squares += e * e
				s[k] += gamma * (1 - alpha) * e
			} else {
				e = v/s[k] - was
				squares += e * e * s[k] * s[k]
				if was > 0 {
					s[k] = math.Max(1e-3, s[k]*(1+gamma*(1-alpha)*e/was))
				}
			}
			t.level = was + alpha*e
			t.trend += alpha * beta * e
		}
		return t, squares
	}
	best := search(func(at []float64) float64 { _, squares := walk(at); return squares }, []float64{0.3, 0.1, 0.1}, searches)
	last, _ := walk(best)
	f := last.run(1, horizon)
	for i := range f {
		f[i] = indices{s, x.additive}.give(f[i], len(y)+i)
	}
	return f
}
