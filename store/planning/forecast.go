package planning

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// Forecast is the predicted demand for an item from a day on. The JSON names are the events'.
type Forecast struct {
	Tenant      string          `db:"tenant_id" json:"tenantId"`
	Item        string          `db:"item_id" json:"itemId"`
	ItemName    string          `db:"name" json:"itemName,omitempty"`
	Location    string          `db:"location_id" json:"locationId"`
	Method      string          `db:"method" json:"method"`
	Start       event.Date      `db:"start_day" json:"startDate"`
	Daily       pq.Float64Array `db:"daily" json:"dailyDemand"`
	ErrorStdDev event.Decimal   `db:"error_std_dev" json:"errorStdDev"`
}

func compareForecasts(a, b Forecast) int {
	return compareDemand(
		Demand{PositionKey: masterdata.PositionKey{Tenant: a.Tenant, Item: a.Item, Location: a.Location}, Day: a.Start},
		Demand{PositionKey: masterdata.PositionKey{Tenant: b.Tenant, Item: b.Item, Location: b.Location}, Day: b.Start})
}

// A different forecast for the same days is a revision.
var keepForecasts = pg.SQL(`
INSERT INTO forecast AS f (tenant_id, location_id, item_id, start_day, method, daily, error_std_dev)
SELECT tenant_id, location_id, item_id, start_day, method, daily::real[], error_std_dev
FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::text[], $6::text[], $7::numeric[])
     AS k(tenant_id, location_id, item_id, start_day, method, daily, error_std_dev)
ON CONFLICT (tenant_id, location_id, item_id, start_day) DO UPDATE
SET method = excluded.method, daily = excluded.daily, error_std_dev = excluded.error_std_dev`)

// KeepForecasts stores forecasts, at most one an item, location and first day, in key order.
func KeepForecasts(ctx context.Context, tx store.Tx, forecasts []Forecast) error {
	slices.SortFunc(forecasts, compareForecasts)
	columns := pg.NewColumns(7, len(forecasts))
	for i := range forecasts {
		f := &forecasts[i]
		daily, err := f.Daily.Value()
		if err != nil {
			return fmt.Errorf("storing %d forecasts: %w", len(forecasts), err)
		}
		columns.Add(f.Tenant, f.Location, f.Item, f.Start, f.Method, daily, f.ErrorStdDev)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("storing %d forecasts", len(forecasts)), keepForecasts, columns...)
}

var latestForecasts = pg.SQL(`
SELECT DISTINCT ON (f.tenant_id, f.location_id, f.item_id)
       f.tenant_id, f.item_id, coalesce(i.name, '') AS name, f.location_id, f.method, f.start_day::text AS start_day, f.daily, f.error_std_dev
FROM forecast f LEFT JOIN item i USING (tenant_id, item_id)
WHERE ($1 = '' OR f.tenant_id = $1) AND ($2 = '' OR f.item_id = $2) AND ($3 = '' OR f.location_id = $3)
ORDER BY f.tenant_id, f.location_id, f.item_id, f.start_day DESC`)

// LatestForecasts returns the latest forecast of each item and location; an empty tenant, item or location selects
// all.
func LatestForecasts(ctx context.Context, db *store.DB, of masterdata.PositionKey) ([]Forecast, error) {
	return pg.List[Forecast](ctx, db, "reading the latest forecasts", latestForecasts, of.Tenant, of.Item, of.Location)
}

// ForecastedItem is an item's forecasts at a location and its actual demand. Days count from 1 January 2000.
type ForecastedItem struct {
	masterdata.PositionKey
	Name, Method string // Method is the latest forecast's
	Starts       pq.Int64Array
	Daily        [][]float64     // of each start
	ErrorStdDevs pq.Float64Array // of each start: units, a day ahead
	Days         pq.Int64Array
	Units        pq.Float64Array // of each day with a sale or a return: sold less returned, at least zero
	Open         int             // the location's open day: earlier days are closed
}

var forecastedItems = pg.SQL(`
WITH f AS (
    SELECT tenant_id, location_id, item_id, array_agg(start_day - date '2000-01-01' ORDER BY start_day) AS starts,
           array_agg(daily[1:$6]::text ORDER BY start_day) AS daily, (array_agg(method ORDER BY start_day DESC))[1] AS method,
           array_agg(error_std_dev::float8 ORDER BY start_day) AS errors
    FROM forecast
    WHERE ($1 = '' OR tenant_id = $1) AND ($2 = '' OR item_id = $2) AND ($3 = '' OR location_id = $3)
      AND start_day > $4::date - $6::int AND start_day <= $5::date
    GROUP BY tenant_id, location_id, item_id
)
SELECT f.tenant_id, f.item_id, f.location_id, coalesce(i.name, ''), f.method, f.starts, f.daily, f.errors, o.days, o.units, c.open_day - date '2000-01-01'
FROM f
JOIN demand_calendar c USING (tenant_id, location_id)
LEFT JOIN item i USING (tenant_id, item_id)
CROSS JOIN LATERAL (
    SELECT array_agg(d.day - date '2000-01-01') AS days, array_agg(greatest(d.sold - d.returned, 0)::float8) AS units
    FROM demand d
    WHERE d.tenant_id = f.tenant_id AND d.location_id = f.location_id AND d.item_id = f.item_id AND d.day < c.open_day) o
ORDER BY f.tenant_id, f.item_id, f.location_id`)

// EachForecastedItem calls do for each item and location with a forecast for days in a range, with at most horizon
// days of each forecast; an empty tenant, item, location or day selects all.
func EachForecastedItem(ctx context.Context, db *store.DB, of masterdata.PositionKey, from, to event.Date, horizon int, do func(ForecastedItem) error) error {
	from = cmp.Or(from, "-infinity")
	to = cmp.Or(to, "infinity")
	err := pg.Each(ctx, db, "reading forecasts and the actual demand", forecastedItems, func(row *sql.Rows) error {
		var f ForecastedItem
		var daily pq.StringArray
		if err := row.Scan(&f.Tenant, &f.Item, &f.Location, &f.Name, &f.Method, &f.Starts, &daily, &f.ErrorStdDevs, &f.Days, &f.Units, &f.Open); err != nil {
			return err
		}
		f.Daily = make([][]float64, len(daily))
		for i, text := range daily {
			if err := (*pq.Float64Array)(&f.Daily[i]).Scan(text); err != nil {
				return err
			}
		}
		return do(f)
	}, of.Tenant, of.Item, of.Location, string(from), string(to), horizon)
	return err
}

var latestOpenDay = pg.SQL(`SELECT coalesce(max(open_day)::text, '') FROM demand_calendar`)

// LatestOpenDay is the latest business day that has begun at any location; "" when none has.
func LatestOpenDay(ctx context.Context, db *store.DB) (event.Date, error) {
	return pg.One[event.Date](ctx, db, "reading the latest business day", latestOpenDay)
}

var demandSpan = pg.SQL(`
SELECT coalesce(min(d.day)::text, '') AS first, coalesce((SELECT max(open_day) FROM demand_calendar c
    WHERE ($1 = '' OR c.tenant_id = $1) AND ($2 = '' OR c.location_id = $2))::text, '') AS open
FROM demand d WHERE ($1 = '' OR d.tenant_id = $1) AND ($2 = '' OR d.location_id = $2)`)

// DemandSpan is the first day with demand, and the latest day that has begun, at a location or, without one, at any;
// both are "" without demand. It reads all demand: use it for a report.
func DemandSpan(ctx context.Context, db *store.DB, at masterdata.LocationKey) (first, open event.Date, err error) {
	span, err := pg.One[struct {
		First event.Date `db:"first"`
		Open  event.Date `db:"open"`
	}](ctx, db, "reading the span of demand", demandSpan, at.Tenant, at.Location)
	return span.First, span.Open, err
}
