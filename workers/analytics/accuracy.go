package analytics

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/workers/analytics/measure"
)

// Question is which forecasts are asked about: an empty tenant, item, location or
// day means all of them, a horizon of 0 seven days.
type Question struct {
	Of       masterdata.PositionKey
	From, To event.Date
	Horizon  int
}

// DefaultHorizon is how many days of a forecast count: those until the next one.
const DefaultHorizon = 7

// Answer is how good forecasts were, of each item and of all together, and over
// which closed days. Without any, From and To are empty.
type Answer struct {
	From, To event.Date
	Items    []ItemAccuracy
	Overall  measure.Overall
}

// Way is one way to forecast: the worker's own, or a naive one.
type Way struct {
	Name string
	measure.Together
}

// Ways are the forecasts and, for the same days, the naive ones.
func (a Answer) Ways() []Way {
	return []Way{{"forecast", a.Overall.Forecast}, {"naive", a.Overall.Naive}, {"seasonal naive", a.Overall.Seasonal}}
}

// ItemAccuracy is how good an item's forecasts at a location were.
type ItemAccuracy struct {
	masterdata.PositionKey
	Name, Method string
	measure.Result
}

// Accuracy measures forecasts against what then happened, on days that are closed.
func Accuracy(ctx context.Context, db *store.DB, q Question) (Answer, error) {
	if q.Horizon <= 0 {
		q.Horizon = DefaultHorizon
	}
	var answer Answer
	var all measure.Adder
	err := planning.EachForecastedItem(ctx, db, q.Of, q.From, q.To, q.Horizon, func(f planning.ForecastedItem) error {
		item, base := lay(f)
		days := measure.Days{From: math.MinInt, To: math.MaxInt}
		if q.From != "" {
			days.From = dayNumber(q.From) - base
		}
		if q.To != "" {
			days.To = dayNumber(q.To) - base
		}
		r := measure.Of(item, q.Horizon, days)
		if r.Days == 0 {
			return nil
		}
		all.Add(r)
		answer.Items = append(answer.Items, ItemAccuracy{f.PositionKey, f.Name, f.Method, r})
		answer.span(q, f, base+min(days.To, len(item.Demand)-1))
		return nil
	})
	if err != nil {
		return Answer{}, fmt.Errorf("measuring forecasts: %w", err)
	}
	answer.Overall = all.Overall()
	return answer, nil
}

// lay lays an item's days out without gaps, from the first known day
// to the last closed one, and gives the first one's number.
func lay(f planning.ForecastedItem) (item measure.Item, base int) {
	base = f.Open
	for _, days := range [][]int64{f.Days, f.Starts} {
		for _, day := range days {
			base = min(base, int(day))
		}
	}
	item.Demand = make([]float64, f.Open-base)
	for i, day := range f.Days {
		item.Demand[int(day)-base] = f.Units[i]
	}
	for i, start := range f.Starts {
		item.Forecasts = append(item.Forecasts, measure.Forecast{Start: int(start) - base, Daily: f.Daily[i]})
	}
	return item, base
}

// span widens the days that were measured by an item's; last is its last day.
func (a *Answer) span(q Question, f planning.ForecastedItem, last int) {
	from, to := dayOf(int(f.Starts[0])), dayOf(last)
	if from < q.From {
		from = q.From
	}
	if final := int(f.Starts[len(f.Starts)-1]) + q.Horizon - 1; last > final {
		to = dayOf(final)
	}
	if a.From == "" || from < a.From {
		a.From = from
	}
	if to > a.To {
		a.To = to
	}
}

// epoch is the day from which the store counts.
var epoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

func dayNumber(d event.Date) int  { return int(d.Time().Sub(epoch) / (24 * time.Hour)) }
func dayOf(number int) event.Date { return event.DateOf(epoch.AddDate(0, 0, number)) }
