// Package series forecasts a series of any period: months, weeks, quarters, days. It is arithmetic alone: nothing is
// read, written or waited for, and the same series gives the same digits on every run.
//
// Package method forecasts a day at a time by the location's week, which is what most items of a till need; its
// Chooser asks this package about the weeks of items that sell steadily. `composerp forecast benchmark` measures all
// methods of both on files of series.
//
// # Methods
//
//	naive            the last value (Makridakis, Wheelwright and Hyndman, Forecasting, 3rd ed., 1998)
//	seasonal naive   the value one period before
//	mean             the mean of the last twelve values
//	SES              simple exponential smoothing, α and first level by least squares (Brown 1956)
//	Holt             with a trend (Holt 1957, reprinted in International Journal of Forecasting 20, 2004)
//	damped           with a trend that fades (Gardner and McKenzie, Management Science 31, 1985)
//	Holt-Winters     with a trend and a season (Winters, Management Science 6, 1960)
//	theta            the mean of SES of the theta line 2 and the line of regression (Assimakopoulos and Nikolopoulos,
//	                 International Journal of Forecasting 16, 2000)
//	optimised theta  its line by least squares, moving with the series: the DOTM of Fiorucci, Pellegrini, Louzada,
//	                 Petropoulos and Koehler, International Journal of Forecasting 32, 2016
//	Croston, SBA     size over interval of demands (Croston 1972; Syntetos and Boylan 2005)
//	TSB              size times probability (Teunter, Syntetos and Babai 2011)
//	TSB-mean         the mean of TSB and of the mean: combinations of simple methods are steadier than each (Clemen,
//	                 International Journal of Forecasting 5, 1989)
//	combination      the median, value by value, of damped, theta and optimised theta, which beat SES in M3
//	                 (Petropoulos and Svetunkov, International Journal of Forecasting 36, 2020)
//	chosen           the combination or, where some values are zero, TSB-mean: see choose.go
//
// SES, Holt, damped, the thetas and so the combination forecast the seasonally adjusted series where the series is
// seasonal by a test of its autocorrelation: see season.go.
//
// # Why no library
//
// Looked for in October 2026: a kept Go module with these methods and their published figures. Those there are either
// have two or three of them (holtwinters, a function of flux) or no release older than some months and no importer.
package series

import (
	"cmp"
	"math"
	"slices"
)

// Method is one way to forecast.
type Method struct {
	// Name is the one of the package's table.
	Name string
	// Simple methods are those that a better one has to beat.
	Simple bool

	forecast func(y []float64, period, horizon int) []float64
}

var methods = []Method{
	{"naive", true, naive},
	{"seasonal naive", true, seasonalNaive},
	{"mean", true, mean},
	{"SES", true, adjusted(ses)},
	{"Holt", false, adjusted(holt)},
	{"damped", false, adjusted(damped)},
	{"Holt-Winters", false, holtWinters},
	{"theta", false, adjusted(theta)},
	{"optimised theta", false, adjusted(optimisedTheta)},
	{"Croston", false, croston},
	{"SBA", false, sba},
	{"TSB", false, tsb},
	{"TSB-mean", false, tsbMean},
	{"combination", false, adjusted(combination)},
	{"chosen", false, chosen},
}

// Methods are all of them, in the order of the package's table.
func Methods() []Method { return slices.Clone(methods) }

// Named gives the method of that name.
func Named(name string) (Method, bool) {
	i := slices.IndexFunc(methods, func(m Method) bool { return m.Name == name })
	if i < 0 {
		return Method{}, false
	}
	return methods[i], true
}

// Forecast gives as many values as horizon says, those after y. The period is how many values a season has; 1: there
// is none. Of a series that is never negative it expects nothing negative; of an empty one zeros.
func (m Method) Forecast(y []float64, period, horizon int) []float64 {
	f := make([]float64, horizon)
	if len(y) == 0 {
		return f
	}
	copy(f, m.forecast(y, max(1, period), horizon))
	least := math.Inf(-1)
	if slices.Min(y) >= 0 {
		least = 0
	}
	for i, v := range f {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			v = y[len(y)-1]
		}
		f[i] = max(least, v)
	}
	return f
}

// flat repeats a level.
func flat(level float64, horizon int) []float64 { return slices.Repeat([]float64{level}, horizon) }

func naive(y []float64, _, horizon int) []float64 { return flat(y[len(y)-1], horizon) }

func seasonalNaive(y []float64, period, horizon int) []float64 {
	if len(y) < period {
		return naive(y, period, horizon)
	}
	f := make([]float64, horizon)
	for i := range f {
		f[i] = y[len(y)-period+i%period]
	}
	return f
}

// lastOfMean is how many values the mean is taken of.
const lastOfMean = 12

func mean(y []float64, _, horizon int) []float64 {
	return flat(average(y[max(0, len(y)-lastOfMean):]), horizon)
}

func average(y []float64) (sum float64) {
	for _, v := range y {
		sum += v
	}
	return sum / float64(max(1, len(y)))
}

// combination is of a seasonally adjusted series.
func combination(y []float64, horizon int) []float64 {
	parts := [][]float64{damped(y, horizon), theta(y, horizon), optimisedTheta(y, horizon)}
	f := make([]float64, horizon)
	at := make([]float64, len(parts))
	for i := range f {
		for k := range parts {
			at[k] = parts[k][i]
		}
		f[i] = median(at)
	}
	return f
}

// median sorts what it is given.
func median(v []float64) float64 {
	slices.SortFunc(v, func(a, b float64) int { return cmp.Compare(a, b) })
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
