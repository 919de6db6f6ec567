package planning

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// # Demand
//
// Sales and returns of an item are summed by the location's calendar day, each in its own column: a sum may arrive in
// pieces and in any order, and is right once all pieces have arrived. Forecasting computes from it; analytics compares
// forecasts with it.
//
// Rows are written in key order, then calendars in key order: no two batches deadlock.

// Demand is what customers bought and returned of an item on one day, or a part of it.
type Demand struct {
	masterdata.PositionKey
	Day            event.Date
	Sold, Returned event.Decimal
}

func compareDemand(a, b Demand) int {
	return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Location, b.Location), strings.Compare(a.Item, b.Item),
		strings.Compare(string(a.Day), string(b.Day)))
}

// In the same round trip it reads the open day of the locations.
var addDemand = pg.SQL(`
WITH added AS (
    INSERT INTO demand AS d (tenant_id, location_id, item_id, day, sold, returned)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::numeric[], $6::numeric[])
    ON CONFLICT (tenant_id, location_id, item_id, day) DO UPDATE
    SET sold = d.sold + excluded.sold, returned = d.returned + excluded.returned
)
SELECT k.ord, c.open_day::text
FROM unnest($7::text[], $8::text[]) WITH ORDINALITY AS k(tenant_id, location_id, ord)
JOIN demand_calendar c USING (tenant_id, location_id)`)

// AddDemand adds to the sums, at most one row a key, and returns the open day of each location that has one.
func AddDemand(ctx context.Context, tx store.Tx, rows []Demand, at []masterdata.LocationKey) (map[masterdata.LocationKey]event.Date, error) {
	slices.SortFunc(rows, compareDemand)
	columns := pg.NewColumns(6, len(rows))
	for i := range rows {
		r := &rows[i]
		columns.Add(r.Tenant, r.Location, r.Item, r.Day, r.Sold, r.Returned)
	}
	open := make(map[masterdata.LocationKey]event.Date, len(at))
	err := pg.Each(ctx, tx, fmt.Sprintf("adding %d rows of demand", len(rows)), addDemand, func(row *sql.Rows) error {
		var ord int
		var day string
		if err := row.Scan(&ord, &day); err != nil {
			return err
		}
		open[at[ord-1]] = event.Date(day)
		return nil
	}, append(columns, masterdata.LocationColumns(at)...)...)
	return open, err
}

// Calendar holds a location's open day, locked by the transaction that read it, and the day up to which forecasts were
// last due. Cadence is in days.
type Calendar struct {
	masterdata.LocationKey
	Open, LastRun event.Date
	Cadence       int
}

var openCalendars = pg.SQL(`
INSERT INTO demand_calendar (tenant_id, location_id, open_day, last_run)
SELECT tenant_id, location_id, day, day - 1 FROM unnest($1::text[], $2::text[], $3::date[]) AS k(tenant_id, location_id, day)
ON CONFLICT DO NOTHING`)

// Keys arrive in locking order.
var lockCalendars = pg.SQL(`
SELECT k.ord, c.open_day::text, c.last_run::text, coalesce(s.forecast_cadence_days, 7)
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(tenant_id, location_id, ord)
JOIN demand_calendar c USING (tenant_id, location_id)
LEFT JOIN tenant_setting s USING (tenant_id)
ORDER BY k.ord
FOR NO KEY UPDATE OF c`)

// LockCalendars locks the calendars of locations. A missing one is made: its first day is open, and no forecast was
// due before.
func LockCalendars(ctx context.Context, tx store.Tx, first map[masterdata.LocationKey]event.Date) (map[masterdata.LocationKey]*Calendar, error) {
	keys := slices.SortedFunc(maps.Keys(first), masterdata.CompareLocationKeys)
	days := pg.NewColumns(3, len(keys))
	for _, k := range keys {
		days.Add(k.Tenant, k.Location, first[k])
	}
	if _, err := pg.Exec(ctx, tx, openCalendars, days...); err != nil {
		return nil, fmt.Errorf("opening the calendars of %d locations: %w", len(keys), err)
	}
	calendars := make(map[masterdata.LocationKey]*Calendar, len(keys))
	err := pg.Each(ctx, tx, fmt.Sprintf("locking the calendars of %d locations", len(keys)), lockCalendars, func(row *sql.Rows) error {
		var ord int
		var c Calendar
		if err := row.Scan(&ord, &c.Open, &c.LastRun, &c.Cadence); err != nil {
			return err
		}
		c.LocationKey = keys[ord-1]
		calendars[c.LocationKey] = &c
		return nil
	}, masterdata.LocationColumns(keys)...)
	return calendars, err
}

var closeDays = pg.SQL(`
WITH due AS (
    INSERT INTO forecast_run (tenant_id, location_id, as_of, previous, closed_by, closed_at, correlation_id, traceparent, replay)
    SELECT * FROM unnest($5::text[], $6::text[], $7::date[], $8::date[], $9::uuid[], $10::timestamptz[], $11::text[], $12::text[], $13::bigint[])
    ON CONFLICT DO NOTHING
)
UPDATE demand_calendar c SET open_day = n.open_day, last_run = n.last_run
FROM unnest($1::text[], $2::text[], $3::date[], $4::date[]) AS n(tenant_id, location_id, open_day, last_run)
WHERE c.tenant_id = n.tenant_id AND c.location_id = n.location_id`)

// CloseDays writes calendars, which this transaction must have locked, and the forecast runs that have become due.
func CloseDays(ctx context.Context, tx store.Tx, calendars []*Calendar, due []ForecastRun) error {
	closed := pg.NewColumns(4, len(calendars))
	for _, c := range calendars {
		closed.Add(c.Tenant, c.Location, c.Open, c.LastRun)
	}
	runs := pg.NewColumns(9, len(due))
	for i := range due {
		r := &due[i]
		runs.Add(r.Tenant, r.Location, r.AsOf, r.Previous, r.ClosedBy, r.ClosedAt, r.CorrelationID, r.Traceparent, r.Replay)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("closing days of %d locations", len(calendars)), closeDays, append(closed, runs...)...)
}
