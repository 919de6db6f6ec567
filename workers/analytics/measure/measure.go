// Package measure measures the accuracy of forecasts of daily demand. It is
// arithmetic alone.
//
// # Formulas
//
// The error of a day is what was forecast less what was demanded: e = f - y. Each
// day of each forecast, up to the horizon and among the days asked for, is one.
//
//	bias    mean(e), in units a day; and sum(e) / sum(y)
//	MASE    mean(|e|) / mean(|y[t] - y[t-1]|)
//	        Hyndman and Koehler, International Journal of Forecasting 22, 2006
//	RMSSE   sqrt(mean(e²) / mean((y[t] - y[t-1])²))
//	        Makridakis, Spiliotis and Assimakopoulos, The M5 accuracy competition,
//	        International Journal of Forecasting 38, 2022
//
// The denominators, the errors of a forecast that expects each day to be like the
// one before, are taken over all days of the item from its first demand to the last day
// asked for. The papers take those before the forecast; here there is a forecast a
// week, and the first come after a handful of days. One scale for all of them makes
// an item's forecasts comparable with each other and with the naive ones, which is
// what the numbers are for. An item whose demand never changed has no scale, and is
// left out.
//
// Beside each forecast stand, for the same days, the naive one (each day as the
// last one before the forecast) and the seasonal naive one (each day as the same
// weekday of the last seven).
//
// Over all items there is the plain mean of the items' measures, in which every
// item counts alike, and the mean weighted by the units that were demanded on the
// days measured, as M5 weights by turnover.
package measure

import "math"

// Item is the demand for an item, a value a day without gaps, and the forecasts
// made of it. Days are indexes into Demand. Demand ends with the last closed day.
type Item struct {
	Demand    []float64
	Forecasts []Forecast
}

// Forecast is the demand forecast for the days from Start on.
type Forecast struct {
	Start int
	Daily []float64
}

// Days are those that are asked for, both included.
type Days struct{ From, To int }

// Errors are the measures of one way to forecast.
type Errors struct {
	// Bias is the mean error in units a day; BiasPart that in parts of the demand,
	// which is no number without demand.
	Bias, BiasPart float64
	MASE, RMSSE    float64
}

// Result is what came of an item's forecasts, and what would have come of the
// naive ones on the same days.
type Result struct {
	// Days is how many days of forecasts were measured, Units what was demanded on them.
	Days  int
	Units float64
	// Scaled is false where there is no scale: then there is neither MASE nor RMSSE.
	Scaled                    bool
	Forecast, Naive, Seasonal Errors
}

// sums are of the errors of one way to forecast.
type sums struct{ error, absolute, squared float64 }

func (s *sums) add(forecast, demand float64) {
	e := forecast - demand
	s.error += e
	s.absolute += math.Abs(e)
	s.squared += e * e
}

func (s *sums) errors(days, units float64, scale scale) Errors {
	return Errors{
		Bias: s.error / days, BiasPart: s.error / units,
		MASE: s.absolute / days / scale.absolute, RMSSE: math.Sqrt(s.squared / days / scale.squared),
	}
}

// season is the length of a week.
const season = 7

// Of measures an item's forecasts, each up to the horizon. Without a day to
// measure, Days is 0.
func Of(item Item, horizon int, days Days) Result {
	var r Result
	var forecast, naive, seasonal sums
	last := min(days.To, len(item.Demand)-1)
	at := func(day int) float64 { // before the first known day nothing was demanded
		if day < 0 {
			return 0
		}
		return item.Demand[day]
	}
	for _, f := range item.Forecasts {
		for ahead := range min(horizon, len(f.Daily)) {
			day := f.Start + ahead
			if day < max(0, days.From) || day > last {
				continue
			}
			demand := item.Demand[day]
			r.Days++
			r.Units += demand
			forecast.add(f.Daily[ahead], demand)
			naive.add(at(f.Start-1), demand)
			seasonal.add(at(f.Start-season+ahead%season), demand)
		}
	}
	if r.Days == 0 {
		return r
	}
	scale := scaleOf(item.Demand[:last+1])
	r.Scaled = scale.squared > 0
	n := float64(r.Days)
	r.Forecast, r.Naive, r.Seasonal = forecast.errors(n, r.Units, scale), naive.errors(n, r.Units, scale), seasonal.errors(n, r.Units, scale)
	return r
}

// scale is how much demand changes from one day to the next.
type scale struct{ absolute, squared float64 }

func scaleOf(demand []float64) scale {
	first := 0
	for first < len(demand) && demand[first] <= 0 {
		first++
	}
	var s scale
	for day := first + 1; day < len(demand); day++ {
		change := demand[day] - demand[day-1]
		s.absolute += math.Abs(change)
		s.squared += change * change
	}
	n := math.Max(1, float64(len(demand)-first-1))
	return scale{s.absolute / n, s.squared / n}
}
