package why

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/workers/replenishment"
)

// reason is how a rule came to ask for a line of an order.
type reason struct {
	Item        string           `json:"itemId"`
	Location    string           `json:"locationId"`
	RuleVersion int64            `json:"ruleVersion"`
	Rule        *masterdata.Rule `json:"rule,omitempty"` // where it has not changed since
	Forecast    *forecast        `json:"forecast,omitempty"`
	Steps       []step           `json:"steps"`
	Quantity    event.Decimal    `json:"quantity"`
	// Unexplained says what of it cannot be worked out again; "": nothing.
	Unexplained string `json:"unexplained,omitempty"`
}

// step is a line of the arithmetic.
type step struct {
	What  string        `json:"what"`
	Value event.Decimal `json:"value"`
	Note  string        `json:"note,omitempty"`
}

// forecast is the one that the rule followed.
type forecast struct {
	EventID      string        `json:"eventId"`
	StartDate    event.Date    `json:"startDate"`
	Method       string        `json:"method,omitempty"`
	ErrorStdDev  event.Decimal `json:"errorStdDev"`
	LeadTimeDays int           `json:"leadTimeDays"`
}

func (r *reason) add(what string, value event.Decimal, note string) {
	r.Steps = append(r.Steps, step{what, value, note})
}

// addPosition adds up the inventory position as the rule saw it.
func (r *reason) addPosition(l *purchasing.PurchaseOrderLine, onHand *event.Decimal) {
	if onHand != nil {
		r.add("on hand", *onHand, fmt.Sprintf("after movement %d of the position", l.Sequence))
		r.add("- reserved", onHand.Sub(l.Available), "")
	}
	r.add("= available", l.Available, "")
	r.add("+ on order", l.OnOrder, "")
	r.add("+ in transit", l.InTransit, "")
	position := positionOf(l)
	r.add("= inventory position", position, "")
	note := "the position is at or below it: order"
	if position.Cmp(l.ReorderPoint) > 0 {
		note = "the position is above it"
	}
	r.add("reorder point", l.ReorderPoint, note)
}

func positionOf(l *purchasing.PurchaseOrderLine) event.Decimal {
	return l.Available.Add(l.OnOrder).Add(l.InTransit)
}

// plan is a rule with what it knows of supplier, item and forecast.
type plan struct {
	planning.ReplenishmentPlan
	forecast *forecast
	terms    replenishment.Terms
}

// planOf gathers a rule's plan as it was when the order was made, from the log, and from master data as it is now.
func planOf(ctx context.Context, db *store.DB, x *orderWhy, rule *masterdata.Rule) (p plan, err error) {
	p.ReplenishmentPlan = planning.ReplenishmentPlan{
		RuleVersion: rule.Version, Auto: rule.Mode == masterdata.RuleAuto, Supplier: rule.Supplier, ReorderPoint: rule.ReorderPoint,
		OrderUpTo: rule.OrderUpTo, OrderQuantity: rule.OrderQuantity, MinimumOrder: rule.MinimumOrder,
		ServiceLevel: rule.ServiceLevel.InexactFloat64(), CoverDays: rule.CoverDays, Pack: event.NewDecimal(1),
	}
	items, err := masterdata.Items(ctx, db, masterdata.Filter{Tenant: rule.Tenant, Item: rule.Item})
	if err != nil {
		return p, err
	}
	switch {
	case rule.PackSize != nil:
		p.Pack = *rule.PackSize
	case len(items) > 0 && items[0].Pack.IsPositive():
		p.Pack = items[0].Pack
	}
	suppliers, err := masterdata.Suppliers(ctx, db, masterdata.Filter{Tenant: rule.Tenant, Supplier: rule.Supplier})
	if err != nil {
		return p, err
	}
	for _, s := range suppliers {
		p.LeadTimeDays = s.LeadTimeDays
	}
	if !p.Auto {
		return p, nil
	}
	return p, p.follow(ctx, db, x, rule)
}

// errFound ends a search.
var errFound = errors.New("found")

// follow takes the newest forecast that was logged before the order.
func (p *plan) follow(ctx context.Context, db *store.DB, x *orderWhy, rule *masterdata.Rule) error {
	created := x.created()
	if created == nil || created.LoggedAt == nil {
		return nil
	}
	q := eventquery.Query{Reverse: true, Limit: 1, Archives: x.archives, Filter: eventquery.Filter{
		Types: []event.Type{event.TypeForecastGenerated}, Tenant: rule.Tenant, Item: rule.Item, Location: rule.Location, LoggedTo: *created.LoggedAt,
	}}
	_, err := eventquery.Each(ctx, db, q, func(events []eventquery.Event) error {
		var e struct {
			Payload event.ForecastGenerated `json:"payload"`
		}
		if err := json.Unmarshal(events[0].Body, &e); err != nil {
			return fmt.Errorf("reading the forecast %s: %w", events[0].ID, err)
		}
		f := e.Payload
		daily := make([]float64, len(f.DailyDemand))
		for i, d := range f.DailyDemand {
			daily[i] = d.InexactFloat64()
		}
		p.forecast = &forecast{EventID: events[0].ID.String(), StartDate: f.StartDate, Method: f.Method, ErrorStdDev: f.ErrorStdDev, LeadTimeDays: p.LeadTimeDays}
		p.Expected = &planning.ExpectedDemand{Daily: daily, ErrorStdDev: f.ErrorStdDev.InexactFloat64()}
		levels := replenishment.Levels(*p.Expected, p.LeadTimeDays, p.CoverDays, p.ServiceLevel)
		p.Planned, p.terms = &levels, replenishment.TermsOf(*p.Expected, p.LeadTimeDays, p.CoverDays, p.ServiceLevel)
		return errFound
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return err
}

// explain adds where the reorder point and the quantity come from, as replenishment computes them.
func (r *reason) explain(l *purchasing.PurchaseOrderLine, p plan) {
	if p.Planned != nil {
		r.Forecast = p.forecast
		r.explainLevels(l, &p)
	}
	position := positionOf(l)
	short := l.ReorderPoint.Sub(position)
	switch {
	case p.OrderQuantity != nil:
		r.add("order quantity", *p.OrderQuantity, fmt.Sprintf("as often as it takes to be above the reorder point: more than %s", short))
	case p.OrderUpTo != nil:
		r.add("order up to", *p.OrderUpTo, fmt.Sprintf("less the position: %s", p.OrderUpTo.Sub(position)))
	case p.Planned != nil:
		r.add("order up to", p.Planned.OrderUpTo, fmt.Sprintf("less the position: %s", p.Planned.OrderUpTo.Sub(position)))
	}
	r.add("minimum order", p.MinimumOrder, "")
	r.add("whole packs of", p.Pack, "")
	r.add("= ordered", l.Quantity, "")
	if quantity := replenishment.Quantity(p.ReplenishmentPlan, position, l.ReorderPoint); !quantity.Equal(l.Quantity) {
		r.Unexplained = fmt.Sprintf("by what is known now it would be %s: pack, minimum, lead time or forecast were others then", quantity)
	}
}

func (r *reason) explainLevels(l *purchasing.PurchaseOrderLine, p *plan) {
	units := func(v float64) event.Decimal { return event.Decimal{Decimal: decimal.NewFromFloat(v).Round(3)} }
	r.add("  demand of the lead time", units(p.terms.LeadTimeDemand), fmt.Sprintf("%d days, by the forecast from %s", p.LeadTimeDays, p.forecast.StartDate))
	r.add("  + safety stock", units(p.terms.SafetyStock), fmt.Sprintf("%.3f (service level %g) x %s (error of a day) x root of %d days",
		replenishment.Quantile(p.ServiceLevel), p.ServiceLevel, p.forecast.ErrorStdDev, p.LeadTimeDays))
	r.add("  = reorder point", p.Planned.ReorderPoint, "")
	r.add("  + demand of the cover", units(p.terms.CoverDemand), fmt.Sprintf("%d days after the lead time", p.CoverDays))
	r.add("  = order up to", p.Planned.OrderUpTo, "")
	if !p.Planned.ReorderPoint.Equal(l.ReorderPoint) {
		r.Unexplained = fmt.Sprintf("by what is known now the reorder point would be %s: the lead time or the forecast was another then", p.Planned.ReorderPoint)
	}
}
