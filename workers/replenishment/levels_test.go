package replenishment_test

import (
	"math"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/workers/replenishment"
)

// Values of the standard normal distribution's table.
func TestQuantile(t *testing.T) {
	t.Parallel()
	for p, want := range map[float64]float64{0.5: 0, 0.8413447: 1, 0.9: 1.2815516, 0.95: 1.6448536, 0.975: 1.9599640, 0.99: 2.3263479, 0.999: 3.0902323} {
		if got := replenishment.Quantile(p); math.Abs(got-want) > 1e-6 {
			t.Errorf("z(%g): want %g, got %g", p, want, got)
		}
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		daily       []float64
		deviation   float64
		lead, cover int
		service     float64
		point, upTo string
	}{
		"demand over the lead time":        {daily: []float64{1, 2, 3, 4}, lead: 2, cover: 2, service: 0.95, point: "3", upTo: "10"},
		"a safety stock":                   {daily: []float64{1, 2, 3, 4}, deviation: 3, lead: 4, cover: 0, service: 0.95, point: "19.869", upTo: "19.869"},
		"beyond the end the mean":          {daily: []float64{1, 3}, lead: 5, cover: 10, service: 0.9, point: "10", upTo: "30"},
		"the lead time longer than it all": {daily: []float64{4}, lead: 10, cover: 1, service: 0.9, point: "40", upTo: "44"},
		"a supplier next door":             {daily: []float64{5, 5}, deviation: 9, lead: 0, cover: 2, service: 0.99, point: "0", upTo: "10"},
		"nothing expected":                 {daily: []float64{0, 0}, lead: 3, cover: 14, service: 0.95, point: "0", upTo: "0"},
		"less than nothing expected":       {daily: []float64{-5, 2}, lead: 2, cover: 2, service: 0.95, point: "2", upTo: "4"},
		"more than an event can hold":      {daily: []float64{9e14}, lead: 30, cover: 30, service: 0.95, point: "1000000000000", upTo: "1000000000000"},
		"no days":                          {deviation: 1, lead: 1, cover: 2, service: 0.95, point: "1.645", upTo: "1.645"},
	} {
		got := replenishment.Levels(planning.ExpectedDemand{Daily: c.daily, ErrorStdDev: c.deviation}, c.lead, c.cover, c.service)
		if got.ReorderPoint.String() != c.point || got.OrderUpTo.String() != c.upTo {
			t.Errorf("%s: want %s and %s, got %s and %s", name, c.point, c.upTo, got.ReorderPoint, got.OrderUpTo)
		}
	}
}

// Whatever the rule: the order is whole packs, at least the minimum, and enough.
func FuzzQuantity(f *testing.F) {
	f.Add(int64(-300), int64(1000), int64(2400), int64(0), int64(1200), int64(0), uint8(0))
	f.Add(int64(5), int64(5), int64(5), int64(7), int64(3), int64(11), uint8(1))
	f.Fuzz(func(t *testing.T, position, point, upTo, quantity, pack, minimum int64, mode uint8) {
		const most = 1 << 40
		cents := func(v int64) event.Decimal { return event.Decimal{Decimal: event.NewDecimal(v % most).Shift(-2)} }
		positive := func(v int64) event.Decimal { return cents(max(1, v%most)) }
		plan := planning.ReplenishmentPlan{Pack: positive(pack), MinimumOrder: cents(max(0, minimum%most)), Auto: mode&4 != 0}
		q, u := positive(quantity), cents(upTo)
		switch mode & 3 {
		case 1:
			plan.OrderQuantity = &q
		case 2:
			plan.OrderUpTo = &u
		case 3:
			plan.Planned = &planning.PlannedLevels{OrderUpTo: u}
		}
		at, rop := cents(position), cents(point)
		if at.Cmp(rop) > 0 {
			at, rop = rop, at
		}
		got := replenishment.Quantity(plan, at, rop)
		if !got.Mod(plan.Pack.Decimal).IsZero() || got.LessThan(plan.MinimumOrder) || at.Add(got).Cmp(rop) <= 0 {
			t.Errorf("%s at %s with the reorder point %s and %+v", got, at, rop, plan)
		}
		if least := got.Sub(plan.Pack); mode&3 == 2 && at.Add(least).Cmp(u) >= 0 && least.Cmp(plan.MinimumOrder) >= 0 && at.Add(least).Cmp(rop) > 0 {
			t.Errorf("%s is a pack too many at %s, up to %s", got, at, u)
		}
	})
}
