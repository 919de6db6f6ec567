package replenishment

import (
	"math"

	"github.com/shopspring/decimal"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/planning"
)

// Levels gives what a forecast makes of an auto rule, in units, not negative:
//
//	reorder point = D(1..L) + z·σ·√L
//	order up to   = reorder point + D(L+1..L+C)
//
// D(i..j) is the demand expected on days i to j of the forecast; days beyond its
// end are expected to be like its mean. L is the supplier's lead time and C the
// rule's cover, in days; σ the standard deviation of one day's forecast error,
// which grows with √L where the days' errors are independent; z the standard
// normal quantile of the service level, here the share of replenishment cycles
// without a stock-out.
//
// Source: Silver, Pyke and Thomas, Inventory and Production Management in Supply
// Chains, 4th ed. (CRC Press, 2017), chapter 6: the (s, Q) and (s, S) systems
// with normal demand, decision rule for a specified probability P1 of no
// stock-out per cycle, s = x̂L + kσL.
func Levels(expected planning.ExpectedDemand, leadTimeDays, coverDays int, serviceLevel float64) planning.PlannedLevels {
	t := TermsOf(expected, leadTimeDays, coverDays, serviceLevel)
	point := max(0, t.LeadTimeDemand+t.SafetyStock)
	return planning.PlannedLevels{ReorderPoint: units(point), OrderUpTo: units(point + t.CoverDemand)}
}

// Terms are what the levels are the sum of, in units.
type Terms struct {
	LeadTimeDemand float64 // D(1..L)
	SafetyStock    float64 // z·σ·√L
	CoverDemand    float64 // D(L+1..L+C)
}

// TermsOf gives the terms of Levels.
func TermsOf(expected planning.ExpectedDemand, leadTimeDays, coverDays int, serviceLevel float64) Terms {
	return Terms{
		LeadTimeDemand: demand(expected.Daily, 0, leadTimeDays),
		SafetyStock:    Quantile(serviceLevel) * expected.ErrorStdDev * math.Sqrt(float64(leadTimeDays)),
		CoverDemand:    demand(expected.Daily, leadTimeDays, leadTimeDays+coverDays),
	}
}

// Quantile is the standard normal quantile: z with Φ(z) = p, by the inverse of
// the error function, Φ(z) = (1 + erf(z/√2)) / 2 (Abramowitz and Stegun, 26.2.29).
func Quantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// demand is what is expected from day from to the day before day to, counting
// from 0. A negative expectation is none.
func demand(daily []float64, from, to int) (sum float64) {
	if len(daily) == 0 {
		return 0
	}
	mean := 0.0
	for i, d := range daily {
		d = max(0, d)
		mean += d / float64(len(daily))
		if i >= from && i < to {
			sum += d
		}
	}
	beyond := to - max(from, len(daily))
	return sum + mean*float64(max(0, beyond))
}

// mostUnits is more than any shop stocks, and little enough for an event to carry an order up to it.
const mostUnits = 1e12

// units rounds to the thousandth: more digits would only look exact.
func units(v float64) event.Decimal {
	return event.Decimal{Decimal: decimal.New(int64(math.Round(min(v, mostUnits)*1000)), -3)}
}
