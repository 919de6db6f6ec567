package replenishment

import (
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/planning"
)

// Quantity is how much to order at an inventory position that is at or below
// reorderPoint. It is what the rule asks for: its order quantity, as often as it
// takes to be above the reorder point again; or what is missing to its
// order-up-to level; or, in mode auto with neither, to the planned one. A rule
// that has none of these is ordered up to just above its reorder point.
//
// It is the minimum order at least, in whole packs, and always enough to be above
// the reorder point: otherwise the next event would order again.
func Quantity(plan planning.ReplenishmentPlan, position, reorderPoint event.Decimal) event.Decimal {
	short := reorderPoint.Sub(position)
	var want event.Decimal
	switch {
	case plan.OrderQuantity != nil:
		want = above(short, *plan.OrderQuantity)
	case plan.OrderUpTo != nil:
		want = plan.OrderUpTo.Sub(position)
	case plan.Auto && plan.Planned != nil:
		want = plan.Planned.OrderUpTo.Sub(position)
	}
	if want.LessThan(plan.MinimumOrder) {
		want = plan.MinimumOrder
	}
	if want.Cmp(short) <= 0 {
		return above(short, plan.Pack)
	}
	return atLeast(want, plan.Pack)
}

// above is the least multiple of unit that is more than d, which is not negative.
func above(d, unit event.Decimal) event.Decimal {
	whole, _ := d.QuoRem(unit.Decimal, 0)
	return event.Decimal{Decimal: whole}.Add(event.NewDecimal(1)).Mul(unit)
}

// atLeast is the least multiple of unit that is d or more.
func atLeast(d, unit event.Decimal) event.Decimal {
	whole, rest := d.QuoRem(unit.Decimal, 0)
	if rest.IsZero() {
		return d
	}
	return event.Decimal{Decimal: whole}.Add(event.NewDecimal(1)).Mul(unit)
}
