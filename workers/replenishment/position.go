package replenishment

import (
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/purchasing"
)

// position is a locked position as it changes in memory.
type position struct {
	*planning.Replenishment
	// plan is nil where no event of the batch can make the position need anything, or where there is no rule.
	plan *planning.ReplenishmentPlan
	// lines are read only where the batch receives or cancels.
	lines []*purchasing.OrderLine

	moved    bool // what stands there is to be written
	planned  bool // what is on order, held or forecast is
	levelled bool // the levels of its auto rule are
	forecast *event.ForecastGenerated

	ahead outlook
}

// outlook is what a batch may do to a position at worst, seen before it is done:
// it tells for which positions the rule must be read.
type outlook struct {
	moved    bool          // it has an INVENTORY_UPDATED
	lowest   event.Decimal // the least that will be available
	incoming event.Decimal // what receipts may take off on order
	asked    bool          // rule or forecast have changed
	cancels  bool
	receives bool
	orders   []string // named by receipts
}

// stand notes what stands at the position, unless something later is known.
func (p *position) stand(e *event.Any, payload event.InventoryUpdated) {
	if e.Metadata.Sequence > p.Sequence {
		p.OnHand, p.Reserved, p.Sequence = payload.OnHand, payload.Reserved, e.Metadata.Sequence
		p.moved = true
	}
	if !p.StockKnown && payload.TransactionType != event.TransactionSale && payload.TransactionType != event.TransactionReturn {
		p.StockKnown, p.moved = true, true
	}
	if at := e.Timestamp.Truncate(time.Microsecond); at.After(p.LatestAt) {
		p.LatestAt = at
		p.moved = true
	}
}

// foresee adds an event to the outlook.
func (p *position) foresee(payload event.InventoryUpdated) {
	if !p.ahead.moved || payload.Available.LessThan(p.ahead.lowest) {
		p.ahead.moved, p.ahead.lowest = true, payload.Available
	}
	if isReceipt(payload) {
		p.ahead.receives = true
		p.ahead.incoming = p.ahead.incoming.Add(payload.Change)
		if payload.PurchaseOrderID != "" {
			p.ahead.orders = append(p.ahead.orders, payload.PurchaseOrderID)
		}
	}
}

// position is the inventory position. What is in transit is read with the plan.
func (p *position) position() event.Decimal { return p.Position().Add(p.plan.InTransit) }

// mayNeed tells whether the batch may bring the position to its reorder point.
// It may be wrong in one direction only, and so leaves out what is in transit.
func (p *position) mayNeed() bool {
	if p.RuleVersion == 0 {
		return false
	}
	if p.Stale || p.ahead.asked {
		return true
	}
	if p.ReorderPoint == nil {
		return false
	}
	lowest := p.ahead.lowest
	if p.Sequence > 0 {
		if available := p.Available(); !p.ahead.moved || available.LessThan(lowest) {
			lowest = available
		}
	} else if !p.ahead.moved {
		return false
	}
	if onOrder := p.OnOrder.Sub(p.ahead.incoming); !p.ahead.cancels && !onOrder.IsNegative() {
		lowest = lowest.Add(onOrder)
	}
	return lowest.Cmp(*p.ReorderPoint) <= 0
}

// adopt takes the position's plan, which is at least as new as the rule it was locked with.
func (p *position) adopt(plan *planning.ReplenishmentPlan) {
	p.plan, p.RuleVersion = plan, plan.RuleVersion
	if plan.Planned == nil {
		p.level()
		return
	}
	p.settle()
}

// level makes the levels of an auto rule anew, from the newest forecast.
func (p *position) level() {
	if plan := p.plan; plan.Auto && plan.Expected != nil && plan.Supplier != "" {
		levels := Levels(*plan.Expected, plan.LeadTimeDays, plan.CoverDays, plan.ServiceLevel)
		plan.Planned, p.levelled = &levels, true
	}
	p.settle()
}

// settle sets the reorder point; nil: nothing is ordered.
func (p *position) settle() {
	switch {
	case p.plan.Supplier == "":
		p.ReorderPoint = nil
	case p.plan.Auto && p.plan.Planned != nil:
		p.ReorderPoint = &p.plan.Planned.ReorderPoint
	default:
		p.ReorderPoint = p.plan.ReorderPoint
	}
}

// expect takes a forecast, if it is newer than the one that is known. It is kept
// without a rule too: one may come.
func (p *position) expect(f event.ForecastGenerated) {
	if f.StartDate <= p.ForecastStart || len(f.DailyDemand) == 0 {
		return
	}
	p.ForecastStart, p.forecast, p.planned = f.StartDate, &f, true
	if p.plan == nil {
		return
	}
	daily := make([]float64, len(f.DailyDemand))
	for i, d := range f.DailyDemand {
		daily[i] = d.InexactFloat64()
	}
	p.plan.Expected = &planning.ExpectedDemand{Daily: daily, ErrorStdDev: f.ErrorStdDev.InexactFloat64()}
	p.level()
}

// follow takes up a rule that has changed: nothing is held by it any more.
func (p *position) follow() {
	if p.HeldOn != "" {
		p.HeldOn, p.HeldVersion, p.planned = "", 0, true
	}
	if p.plan != nil {
		p.level()
	}
}

func isReceipt(payload event.InventoryUpdated) bool {
	return payload.TransactionType == event.TransactionReceipt && payload.Change.IsPositive()
}
