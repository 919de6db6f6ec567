package whatif

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/whatif"
)

// Report is what a run has found.
type Report struct {
	// From and To are the business times of the span: those asked for, or of the first and the last event.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Events are the sales, receipts, transfers, adjustments and counts of the span; Positions are measured, and
	// Unmeasured are those that only sales and returns have moved.
	Events     int64 `json:"events"`
	Positions  int   `json:"positions"`
	Unmeasured int   `json:"unmeasured"`
	// RulesChanged is how many rules differ from those of today.
	RulesChanged int     `json:"rulesChanged"`
	Happened     Figures `json:"happened"`
	Replayed     Figures `json:"replayed"`
	WhatIf       Figures `json:"whatIf"`
	// Items are all measured positions, those that the change changes most first.
	Items []Item `json:"items"`
}

// Item is a position in all three columns.
type Item struct {
	Tenant   string  `json:"tenantId"`
	Item     string  `json:"itemId"`
	Location string  `json:"locationId"`
	Happened Figures `json:"happened"`
	Replayed Figures `json:"replayed"`
	WhatIf   Figures `json:"whatIf"`
}

// report ends the span on both sides and compares.
func (r *run) report(ctx context.Context) (Report, error) {
	from, to := r.asked.From, r.asked.To
	if from.IsZero() {
		from = r.first
	}
	more, err := whatif.Beyond(ctx, r.db, r.asked.Span, inputs)
	if err != nil {
		return Report{}, err
	}
	last := to.Add(-time.Microsecond) // to is not in the span
	if !more && (to.IsZero() || !r.last.IsZero()) {
		to, last = r.last, r.last // of what comes after the last event nothing is known
	}
	var both errgroup.Group
	for _, s := range r.sides {
		both.Go(func() error { return s.finish(ctx, last) })
	}
	if err := both.Wait(); err != nil {
		return Report{}, err
	}
	report := Report{From: from, To: to, Events: r.events, RulesChanged: r.rules, Items: []Item{}}
	columns := [3]*measure{r.happened, r.sides[0].measure, r.sides[1].measure}
	figures := [3]*Figures{&report.Happened, &report.Replayed, &report.WhatIf}
	length := max(to.UnixMicro()-from.UnixMicro(), 1)
	for i, m := range columns {
		m.end(to.UnixMicro())
		*figures[i] = m.total.figures(length)
	}
	keys := map[masterdata.PositionKey]bool{}
	for _, m := range columns {
		for k := range m.at {
			keys[k] = true
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(keys), masterdata.ComparePositionKeys) {
		item := Item{Tenant: k.Tenant, Item: k.Item, Location: k.Location}
		known := false
		for i, into := range []*Figures{&item.Happened, &item.Replayed, &item.WhatIf} {
			p := columns[i].position(k)
			*into = p.figures(length)
			known = known || p.known
		}
		if !known {
			report.Unmeasured++
			continue
		}
		report.Positions++
		report.Items = append(report.Items, item)
	}
	slices.SortStableFunc(report.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(b.change(), a.change()), cmp.Compare(b.ordersChange(), a.ordersChange()))
	})
	return report, nil
}

// change is how much the change changes a position: by average capital, or where no cost is known, by average units;
// and by the days without stock.
func (i *Item) change() float64 {
	return apart(sumOf(i.WhatIf.AverageCapital), sumOf(i.Replayed.AverageCapital)) +
		apart(i.WhatIf.AverageUnits.InexactFloat64(), i.Replayed.AverageUnits.InexactFloat64()) +
		apart(i.WhatIf.DaysWithoutStock.InexactFloat64(), i.Replayed.DaysWithoutStock.InexactFloat64())
}

// ordersChange is how much the change changes what is ordered, of positions whose stock is the same.
func (i *Item) ordersChange() float64 {
	return apart(i.WhatIf.OrderedUnits.InexactFloat64(), i.Replayed.OrderedUnits.InexactFloat64())
}

func apart(a, b float64) float64 { return max(a-b, b-a) }

func sumOf(amounts []Money) (sum float64) {
	for _, m := range amounts {
		sum += m.Amount.InexactFloat64()
	}
	return sum
}

// finish hands on what arrives before the end, and ends the last batch.
func (s *simulation) finish(ctx context.Context, to time.Time) error {
	for {
		if err := s.until(ctx, to); err != nil {
			return err
		}
		if len(s.batch) == 0 {
			return nil
		}
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
}
