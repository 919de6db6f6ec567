package planning

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// ReplenishmentPlan is a position's rule and what an order by it needs to know.
type ReplenishmentPlan struct {
	RuleVersion int64
	// Auto: the rule follows the forecast.
	Auto bool
	// Supplier is "" when nothing is ordered.
	Supplier     string
	LeadTimeDays int
	// ReorderPoint, OrderUpTo and OrderQuantity are the rule's own; nil when not set.
	ReorderPoint, OrderUpTo, OrderQuantity *event.Decimal
	// Pack is the rule's, or else the item's.
	Pack, MinimumOrder event.Decimal
	ServiceLevel       float64
	CoverDays          int
	// InTransit is on its way to the position from other locations.
	InTransit event.Decimal
	// Currency is the location's, "" for none; UnitCost, which is in the tenant's currency, is nil when it is not known
	// in the location's.
	Currency string
	UnitCost *event.Decimal
	// Planned is the levels computed from the forecast; nil when there are none for this version of the rule.
	Planned *PlannedLevels
	// Expected is the newest forecast, nil when there is none.
	Expected *ExpectedDemand
}

// PlannedLevels are the levels computed from a forecast for an auto rule.
type PlannedLevels struct{ ReorderPoint, OrderUpTo event.Decimal }

// ExpectedDemand is the part of a forecast that ordering needs: units a day, and the standard deviation of one day's
// error.
type ExpectedDemand struct {
	Daily       []float64
	ErrorStdDev float64
}

var replenishmentPlans = pg.SQL(`
SELECT k.ord, r.version, r.mode = 'auto', coalesce(r.supplier_id, ''), coalesce(v.lead_time_days, 0), r.reorder_point, r.order_up_to, r.order_quantity,
       coalesce(r.pack_size, i.pack, 1), r.minimum_order, r.service_level, r.cover_days,
       ` + eventlog.LocationCurrencySQL + `, CASE WHEN ` + eventlog.LocationCurrencySQL + ` = coalesce(s.currency, '') THEN i.unit_cost END,
       ` + InTransitSQL("p") + `,
       CASE WHEN p.planned_version = r.version THEN p.reorder_point END, CASE WHEN p.planned_version = r.version THEN p.order_up_to END,
       f.daily, coalesce(f.error_std_dev, 0)
FROM unnest($1::bigint[]) WITH ORDINALITY AS k(id, ord)
JOIN replenishment_state p ON p.id = k.id
JOIN replenishment_rule r USING (tenant_id, item_id, location_id)
LEFT JOIN supplier v ON v.tenant_id = r.tenant_id AND v.supplier_id = r.supplier_id
LEFT JOIN tenant_setting s ON s.tenant_id = r.tenant_id
LEFT JOIN location l ON l.tenant_id = r.tenant_id AND l.location_id = r.location_id
LEFT JOIN item i ON i.tenant_id = r.tenant_id AND i.item_id = r.item_id
LEFT JOIN replenishment_forecast f ON f.state_id = p.id AND r.mode = 'auto'`)

// ReplenishmentPlans reads the plans of locked positions that have a rule.
func ReplenishmentPlans(ctx context.Context, tx store.Tx, positions []*Replenishment) (map[*Replenishment]*ReplenishmentPlan, error) {
	ids := pg.NewColumns(1, len(positions))
	for _, p := range positions {
		ids.Add(p.ID)
	}
	plans := make(map[*Replenishment]*ReplenishmentPlan, len(positions))
	err := pg.Each(ctx, tx, fmt.Sprintf("reading the rules of %d positions", len(positions)), replenishmentPlans, func(row *sql.Rows) error {
		var ord int
		var p ReplenishmentPlan
		var plannedPoint, plannedUpTo *event.Decimal
		var daily pq.Float64Array
		var deviation float64
		if err := row.Scan(&ord, &p.RuleVersion, &p.Auto, &p.Supplier, &p.LeadTimeDays, &p.ReorderPoint, &p.OrderUpTo, &p.OrderQuantity,
			&p.Pack, &p.MinimumOrder, &p.ServiceLevel, &p.CoverDays, &p.Currency, &p.UnitCost, &p.InTransit, &plannedPoint, &plannedUpTo, &daily, &deviation); err != nil {
			return err
		}
		if plannedPoint != nil && plannedUpTo != nil {
			p.Planned = &PlannedLevels{*plannedPoint, *plannedUpTo}
		}
		if len(daily) > 0 {
			p.Expected = &ExpectedDemand{Daily: daily, ErrorStdDev: deviation}
		}
		plans[positions[ord-1]] = &p
		return nil
	}, ids...)
	return plans, err
}

var notePlans = pg.SQL(`
UPDATE replenishment_state s
SET on_order = n.on_order, bookings = n.bookings, held_on = n.held_on, held_version = n.held_version, forecast_start = n.forecast_start
FROM unnest($1::bigint[], $2::numeric[], $3::bigint[], $4::date[], $5::bigint[], $6::date[]) AS n(id, on_order, bookings, held_on, held_version, forecast_start)
WHERE s.id = n.id`)

// NotePlans writes on order, held need and forecast start of the positions. This transaction must hold their locks.
func NotePlans(ctx context.Context, tx store.Tx, positions []*Replenishment) error {
	if len(positions) == 0 {
		return nil
	}
	columns := pg.NewColumns(6, len(positions))
	for _, p := range positions {
		columns.Add(p.ID, p.OnOrder, p.Bookings, p.HeldOn, p.HeldVersion, p.ForecastStart)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("writing the plans of %d positions", len(positions)), notePlans, columns...)
}

var noteLevels = pg.SQL(`
UPDATE replenishment_state s SET planned_version = n.version, reorder_point = n.reorder_point, order_up_to = n.order_up_to
FROM unnest($1::bigint[], $2::bigint[], $3::numeric[], $4::numeric[]) AS n(id, version, reorder_point, order_up_to)
WHERE s.id = n.id`)

// NoteLevels stores the levels computed from the forecast: Planned of each plan.
func NoteLevels(ctx context.Context, tx store.Tx, plans map[*Replenishment]*ReplenishmentPlan) error {
	if len(plans) == 0 {
		return nil
	}
	columns := pg.NewColumns(4, len(plans))
	for position, plan := range plans {
		columns.Add(position.ID, plan.RuleVersion, plan.Planned.ReorderPoint, plan.Planned.OrderUpTo)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("writing the planned levels of %d positions", len(plans)), noteLevels, columns...)
}

// The inner arrays of a PostgreSQL array must have equal lengths; as texts they may differ.
var rememberForecasts = pg.SQL(`
INSERT INTO replenishment_forecast (state_id, daily, error_std_dev)
SELECT id, daily::numeric[], error_std_dev FROM unnest($1::bigint[], $2::text[], $3::numeric[]) AS n(id, daily, error_std_dev)
ON CONFLICT (state_id) DO UPDATE SET daily = excluded.daily, error_std_dev = excluded.error_std_dev`)

// RememberForecasts stores the newest forecast of each position. This transaction must hold their locks.
func RememberForecasts(ctx context.Context, tx store.Tx, forecasts map[*Replenishment]event.ForecastGenerated) error {
	if len(forecasts) == 0 {
		return nil
	}
	columns := pg.NewColumns(3, len(forecasts))
	for position, f := range forecasts {
		days := pg.NewColumn(len(f.DailyDemand), 8)
		for _, d := range f.DailyDemand {
			days.Decimal(d)
		}
		columns.Add(position.ID, days.String(), f.ErrorStdDev)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("storing the forecasts of %d positions", len(forecasts)), rememberForecasts, columns...)
}
