// Package calibration holds the service that reorder points promise against the demand that came.
//
// # What is measured
//
// The last third of the days with demand is held back. Each forecast that begins in it was made from the days before;
// of each, and for each lead time L and nominal service, there is the reorder point that planning computes from it.
// The demand of the L days that follow is the test: a cycle that begins with a stock of just the reorder point.
//
//	cycle service  the part of the cycles whose demand is at most the reorder point (P1)
//	fill rate      1 - sum(max(0, demand - reorder point)) / sum(demand), over the cycles (P2 of the lead time; the
//	               demand before the reorder point is reached is always filled, and is not counted)
//
// Both after Silver, Pyke and Thomas, Inventory and Production Management in Supply Chains, 4th ed., 2017, 6.2. What
// is promised is the cycle service. Items without demand in the held-back days are left out: they keep any promise. A
// cycle counts where all its days are closed. The forecasts are those of the fleet, as they were published: nothing is
// fitted to the days held back. Undershoot, the age of a forecast and late suppliers are not in it; these make things
// worse.
package calibration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
)

var (
	// LeadTimes are in days.
	LeadTimes = []int{1, 2, 3, 5, 7, 10, 14}
	// Nominal are the cycle services that are promised, as parts of one.
	Nominal = []float64{0.80, 0.85, 0.90, 0.95, 0.97, 0.99}
)

// ErrNothing means that no forecast begins in the held-back days. Its text says what is wanted.
var ErrNothing = errors.New("no forecast begins in the last third of the days with demand")

// Point is how planning computes a reorder point, in units, from a forecast, for a lead time in days and a cycle
// service.
type Point func(expected planning.ExpectedDemand, leadTimeDays int, serviceLevel float64) float64

// Achieved is what came of one promise.
type Achieved struct {
	Nominal              float64
	CycleService, Filled float64 // parts of one
	// Points is the sum of the reorder points, in units: what the promise costs.
	Points float64
}

// LeadTime is what came of all promises for a lead time.
type LeadTime struct {
	Days, Cycles int
	// Demand is that of the cycles, in units.
	Demand   float64
	Achieved []Achieved // in the order of Nominal
}

// Report is what came of the promises for the held-back days From to To, both included.
type Report struct {
	From, To  event.Date
	Items     int
	LeadTimes []LeadTime
}

// Measure measures the items of a tenant, location or name, or all.
func Measure(ctx context.Context, db *store.DB, of masterdata.PositionKey, point Point) (Report, error) {
	first, open, err := planning.DemandSpan(ctx, db, masterdata.LocationKey{Tenant: of.Tenant, Location: of.Location})
	if err != nil {
		return Report{}, err
	}
	if first == "" || open == "" {
		return Report{}, fmt.Errorf("%w: there is no demand yet", ErrNothing)
	}
	days := dayNumber(open) - dayNumber(first)
	from := dayNumber(open) - days/3
	r := Report{From: first.AddDays(days - days/3), To: open.AddDays(-1), LeadTimes: make([]LeadTime, len(LeadTimes))}
	for i, l := range LeadTimes {
		r.LeadTimes[i] = LeadTime{Days: l, Achieved: make([]Achieved, len(Nominal))}
		for k, p := range Nominal {
			r.LeadTimes[i].Achieved[k].Nominal = p
		}
	}
	err = planning.EachForecastedItem(ctx, db, of, r.From, r.To, longest, func(f planning.ForecastedItem) error {
		r.add(f, from, point)
		return nil
	})
	if err != nil {
		return Report{}, fmt.Errorf("measuring what reorder points keep: %w", err)
	}
	if r.Items == 0 {
		return Report{}, fmt.Errorf("%w, %s to %s: history (--history) makes forecasts at its end only", ErrNothing, r.From, r.To)
	}
	for i := range r.LeadTimes {
		r.LeadTimes[i].mean()
	}
	return r, nil
}

// longest is how many days of a forecast are read.
const longest = 30

// add adds the cycles of an item.
func (r *Report) add(f planning.ForecastedItem, from int, point Point) {
	units := map[int]float64{}
	sold := false
	for i, day := range f.Days {
		units[int(day)] = f.Units[i]
		sold = sold || int(day) >= from && f.Units[i] > 0
	}
	counted := false
	for i, start := range f.Starts {
		start := int(start)
		if !sold || start < from {
			continue
		}
		demand, through := 0.0, start
		for n, l := range LeadTimes {
			if start+l > f.Open {
				break
			}
			for ; through < start+l; through++ {
				demand += units[through]
			}
			r.LeadTimes[n].add(planning.ExpectedDemand{Daily: f.Daily[i], ErrorStdDev: f.ErrorStdDevs[i]}, demand, point)
			counted = true
		}
	}
	if counted {
		r.Items++
	}
}

// add adds a cycle. Until mean, CycleService counts cycles and Filled adds up the units short.
func (t *LeadTime) add(expected planning.ExpectedDemand, demand float64, point Point) {
	t.Cycles++
	t.Demand += demand
	for k := range t.Achieved {
		a := &t.Achieved[k]
		at := point(expected, t.Days, a.Nominal)
		a.Points += at
		if demand <= at {
			a.CycleService++
		} else {
			a.Filled += demand - at
		}
	}
}

func (t *LeadTime) mean() {
	for k := range t.Achieved {
		a := &t.Achieved[k]
		a.CycleService /= float64(t.Cycles)
		a.Filled = 1 - a.Filled/t.Demand
	}
}

// epoch is the day from which the store counts.
var epoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

func dayNumber(d event.Date) int { return int(d.Time().Sub(epoch) / (24 * time.Hour)) }
