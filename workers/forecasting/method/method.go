// Package method forecasts the daily demand for an item from its history. It is
// arithmetic alone: nothing is read, written or waited for.
//
// # What there is
//
//   - Seasonal naive: each day as the same weekday of the last week.
//   - SES: simple exponential smoothing (Brown, Statistical Forecasting for
//     Inventory Control, 1959; Exponential Smoothing for Predicting Demand, 1956).
//   - SBA: Croston's method for intermittent demand (Operational Research
//     Quarterly 23, 1972) without its bias (Syntetos and Boylan, International
//     Journal of Forecasting 21, 2005).
//   - TSB: Teunter, Syntetos and Babai (European Journal of Operational Research
//     214, 2011), which also forgets an item that is no longer bought.
//
// The last three give a level: the units expected on a day. A shop that is closed
// on Saturdays sells nothing then, whatever the level is, so a level is spread
// over the week by the location's weekday profile (Profile). An item with a week
// of its own is for the first, and for its smoothed kin: every weekday by itself.
//
// # Time that trades
//
// Smoothing takes a day for a step. Where the profile says that a Saturday has a
// thirtieth of an average day's trade, it is a thirtieth of a step: a method is
// given each day's demand together with its weight, and smooths over the weights
// as it else would over days. With all weights at one it is the published method.
// So a closed day is no evidence that demand has fallen, and no interval between
// demands grows by it.
//
// # Which one is used
//
// A Chooser holds all of them against the item's own last days and takes the one
// that would have been best: see choose.go.
package method

import (
	"time"
)

// Forecast is what is expected of the days after a history.
type Forecast struct {
	// Method names the method that was taken, with its constant: "SES 0.05 weekly".
	Method string
	// Daily is the units expected, a value a day, never negative.
	Daily []float64
	// ErrorStdDev is the standard deviation of the error of a forecast made one
	// day ahead, in units, as the back-test saw it.
	ErrorStdDev float64
}

// History is what was demanded of an item, a value a day without gaps, oldest
// first. First is the weekday of the first value.
type History struct {
	Demand []float64
	First  time.Weekday
}

// weekday is that of the day with the index i, which may lie after the history.
func (h History) weekday(i int) time.Weekday { return (h.First + time.Weekday(i%7)) % 7 }

const (
	// Longest is how many days of a history are looked at: half a year. More cost
	// time and memory without end, and change nothing.
	Longest = 182
	// LeadIn is how many days before its first sale an item's history begins, if its
	// location traded then. A history that began with a sale would expect one every
	// day of what was sold once.
	LeadIn = 28
)
