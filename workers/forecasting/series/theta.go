package series

import "math"

// regression is the line of least squares a + b t of y at t = 1, 2, ...
func regression(y []float64) (a, b float64) {
	n := float64(len(y))
	if n < 2 {
		return average(y), 0
	}
	var sum float64
	for i, v := range y {
		sum += v * (float64(i+1) - (n+1)/2)
	}
	b = sum / (n * (n*n - 1) / 12)
	return average(y) - b*(n+1)/2, b
}

// theta is the mean of two lines (Assimakopoulos and Nikolopoulos 2000): the regression, which is the theta line 0,
// and SES of the theta line 2, which has twice the curvature: 2 y - (a + b t).
func theta(y []float64, horizon int) []float64 {
	a, b := regression(y)
	line := make([]float64, len(y))
	for i, v := range y {
		line[i] = 2*v - (a + b*float64(i+1))
	}
	level := sesLevel(line)
	f := make([]float64, horizon)
	for i := range f {
		f[i] = (level + a + b*float64(len(y)+i+1)) / 2
	}
	return f
}

// moving is the state of the dynamic theta model before step t (Fiorucci et al. 2016, section 3.2): the mean of the
// values so far and their line of regression, kept up to date.
type moving struct{ t, mean, a, b float64 }

// drift is what the model adds to the level at the next step, for ω = 1 - 1/θ of one:
// (1-α)^(t-1) A + (1 - (1-α)^t)/α B.
func (m *moving) drift(alpha, power float64) float64 {
	return power*m.a + (1-power*(1-alpha))/alpha*m.b
}

func (m *moving) observe(v float64) {
	m.t++
	t := m.t
	if t > 1 {
		m.b = ((t-2)*m.b + 6*(v-m.mean)/t) / (t + 1)
	}
	m.mean += (v - m.mean) / t
	m.a = m.mean - (t+1)/2*m.b
}

// unscored is how many first values the model is not fitted to: its line has no slope before.
const unscored = 2

// fitTheta gives, for a smoothing constant, the first level and ω of the least squared errors, ω between 0 (θ = 1,
// which is SES) and 1. The error of a step is linear in both: e = y - l - ω g, where l is that from a first level of
// zero and l0 (1-α)^t.
func fitTheta(y []float64, alpha float64) (first, omega, squares float64) {
	var m moving
	var level, ee, eu, eg, uu, ug, gg float64
	power := 1.0 // (1-α)^t
	for i, v := range y {
		if i >= unscored {
			e, g := v-level, m.drift(alpha, power)
			ee += e * e
			eu += e * power
			eg += e * g
			uu += power * power
			ug += power * g
			gg += g * g
		}
		level += alpha * (v - level)
		power *= 1 - alpha
		m.observe(v)
	}
	with := func(omega float64) (l0, squares float64) {
		if uu > 0 {
			l0 = (eu - omega*ug) / uu
		}
		return l0, ee - 2*l0*eu - 2*omega*eg + l0*l0*uu + 2*l0*omega*ug + omega*omega*gg
	}
	if det := uu*gg - ug*ug; det > 1e-12*uu*gg {
		omega = math.Min(1, math.Max(0, (uu*eg-ug*eu)/det))
	}
	first, squares = with(omega)
	return first, omega, squares
}

// optimisedTheta is the dynamic optimised theta model: beyond the end it takes its own forecasts for values.
func optimisedTheta(y []float64, horizon int) []float64 {
	if len(y) < leastForTrend {
		return ses(y, horizon)
	}
	alpha := lowest(func(alpha float64) float64 { _, _, squares := fitTheta(y, alpha); return squares }, 0.1, 0.99)
	level, omega, _ := fitTheta(y, alpha)
	var m moving
	power := 1.0
	step := func(v float64) {
		level += alpha * (v - level)
		power *= 1 - alpha
		m.observe(v)
	}
	for _, v := range y {
		step(v)
	}
	f := make([]float64, horizon)
	for i := range f {
		f[i] = level + omega*m.drift(alpha, power)
		step(f[i])
	}
	return f
}
