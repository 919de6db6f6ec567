package method

import (
	"math"
	"time"
)

// Profile is how a location's trade is spread over the week: by weekday (Sunday
// first, as time.Weekday counts), the part of an average day's. The mean of the
// seven is one.
type Profile [7]float64

// Flat is the profile of a location without history, and of one that
// trades every day alike.
var Flat = Profile{1, 1, 1, 1, 1, 1, 1}

const (
	// profileWeeks is how many of the last weeks a profile is taken from.
	profileWeeks = 13
	// profilePrior is how many weeks of even trade are added to them, so that two
	// Saturdays without a sale are not yet a shop that is closed on Saturdays.
	profilePrior = 1
	// leastWeight is the weight of a day on which nothing was ever sold: demand
	// there is possible, but not expected.
	leastWeight = 0.01
)

// ProfileOf estimates a profile from a measure of each day's trade at the
// location, oldest first; first is the weekday of the first. The index of
// a weekday is the mean of its days' part of the mean day, the ratio to the mean
// of classical decomposition, shrunk towards one.
//
// The measure is best the number of items sold on the day, not of units: one order
// of ten thousand pieces on a Tuesday is no evidence about Tuesdays.
func ProfileOf(trade []float64, first time.Weekday) Profile {
	skip := max(0, len(trade)-7*profileWeeks)
	h := History{First: first}
	sum := 0.0
	for _, t := range trade[skip:] {
		sum += t
	}
	if sum <= 0 {
		return Flat
	}
	mean := sum / float64(len(trade)-skip)
	var part, days Profile
	for i, t := range trade[skip:] {
		d := h.weekday(skip + i)
		part[d] += t / mean
		days[d]++
	}
	total := 0.0
	for d := range part {
		part[d] = math.Max((part[d]+profilePrior)/(days[d]+profilePrior), leastWeight)
		total += part[d]
	}
	for d := range part {
		part[d] *= 7 / total
	}
	return part
}
