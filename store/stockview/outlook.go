package stockview

import (
	"context"
	"fmt"
	"slices"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// Outlook is new facts about a position's expected demand and rule; nil fields have not changed.
type Outlook struct {
	masterdata.PositionKey
	Demand  *DailyDemand
	Trigger *RuleTrigger
}

// DailyDemand is a forecast as one number: units a day from Start on. Seq is its log position.
type DailyDemand struct {
	Units event.Decimal
	Start event.Date
	Seq   int64
}

// RuleTrigger is the reorder point of a rule that asked for more. Seq is its log position.
type RuleTrigger struct {
	ReorderPoint event.Decimal
	Seq          int64
}

const (
	newerForecast = `(o.forecast_start IS NULL OR (o.forecast_start, o.forecast_seq) < (excluded.forecast_start, excluded.forecast_seq))`
	newerTrigger  = `(o.triggered_seq IS NULL OR o.triggered_seq < excluded.triggered_seq)`
)

// One statement: with two, each in key order, two slots could wait for each other.
var noteOutlook = pg.SQL(`
INSERT INTO stock_outlook AS o (tenant_id, item_id, location_id, daily_demand, forecast_start, forecast_seq, reorder_point, triggered_seq)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::date[], $6::bigint[], $7::numeric[], $8::bigint[])
ON CONFLICT (tenant_id, item_id, location_id) DO UPDATE
SET daily_demand = CASE WHEN ` + newerForecast + ` THEN excluded.daily_demand ELSE o.daily_demand END,
    forecast_start = CASE WHEN ` + newerForecast + ` THEN excluded.forecast_start ELSE o.forecast_start END,
    forecast_seq = CASE WHEN ` + newerForecast + ` THEN excluded.forecast_seq ELSE o.forecast_seq END,
    reorder_point = CASE WHEN ` + newerTrigger + ` THEN excluded.reorder_point ELSE o.reorder_point END,
    triggered_seq = CASE WHEN ` + newerTrigger + ` THEN excluded.triggered_seq ELSE o.triggered_seq END`)

// NoteOutlook stores what is newer than the stored: a forecast that starts later or, with the same start, has a higher
// log position; a trigger with a higher log position. At most one outlook a position, written in key order.
func NoteOutlook(ctx context.Context, tx store.Tx, outlook []Outlook) error {
	slices.SortFunc(outlook, func(a, b Outlook) int { return masterdata.ComparePositionKeys(a.PositionKey, b.PositionKey) })
	columns := pg.NewColumns(8, len(outlook))
	for _, o := range outlook {
		var units, start, forecast, point, triggered any
		if d := o.Demand; d != nil {
			units, start, forecast = d.Units, pg.Expiry(d.Start), d.Seq
		}
		if t := o.Trigger; t != nil {
			point, triggered = t.ReorderPoint, t.Seq
		}
		columns.Add(o.Tenant, o.Item, o.Location, units, start, forecast, point, triggered)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("writing the outlook of %d positions", len(outlook)), noteOutlook, columns...)
}
