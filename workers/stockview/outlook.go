package stockview

import (
	"github.com/shopspring/decimal"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/stockview"
)

// demandDigits is how exact the expected demand is kept, as exact as an event could carry it.
const demandDigits = 6

// forecast keeps the mean of a forecast's days: what is expected of a day, whichever it is.
func (n *news) forecast(e *event.Any, key masterdata.PositionKey, p event.ForecastGenerated) {
	if len(p.DailyDemand) == 0 {
		return
	}
	o := n.outlook[key]
	if d := o.Demand; d != nil && (d.Start > p.StartDate || d.Start == p.StartDate && d.Seq > e.LogSeq) {
		return
	}
	days := decimal.NewFromInt(int64(len(p.DailyDemand)))
	mean := event.Decimal{Decimal: event.Sum(p.DailyDemand...).DivRound(days, demandDigits)}
	o.PositionKey, o.Demand = key, &stockview.DailyDemand{Units: mean, Start: p.StartDate, Seq: e.LogSeq}
	n.outlook[key] = o
}

// triggered keeps the reorder point that a rule asked for more by, and, where it
// tells by its sequence which version of the position it saw, that.
func (n *news) triggered(e *event.Any, key masterdata.PositionKey, p event.ReplenishmentTriggered) {
	if saw := e.Metadata.Sequence; p.PurchaseOrderID != "" && saw > 0 {
		n.order(e, p.PurchaseOrderID, func(o *stockview.OrderUpdate) {
			o.Triggers = append(o.Triggers, stockview.OrderTrigger{PositionKey: key, Sequence: saw})
		})
	}
	o := n.outlook[key]
	if t := o.Trigger; t != nil && t.Seq > e.LogSeq {
		return
	}
	o.PositionKey, o.Trigger = key, &stockview.RuleTrigger{ReorderPoint: p.ReorderPoint, Seq: e.LogSeq}
	n.outlook[key] = o
}
