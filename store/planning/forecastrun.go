package planning

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// ForecastRun is the forecasts of a location that are due as of a day, computed in pieces. ClosedBy is the event that
// closed the day.
type ForecastRun struct {
	masterdata.LocationKey
	AsOf     event.Date `db:"as_of"`
	Previous event.Date `db:"previous"`

	ClosedBy      uuid.UUID `db:"closed_by"`
	ClosedAt      time.Time `db:"closed_at"`
	CorrelationID string    `db:"correlation_id"`
	Traceparent   string    `db:"traceparent"`
	// Replay is the replay that ClosedBy follows from, 0 for none.
	Replay int64 `db:"replay"`

	// NextItem: the items up to it are done.
	NextItem string `db:"next_item"`
	// Week is the location's weekday profile and FirstDay its first day of trade in the period; nil and empty until
	// the first piece has computed them.
	Week     pq.Float64Array `db:"week"`
	FirstDay event.Date      `db:"first_day"`
}

// Forecasts of a location are computed in the order of their days, also across processes: a run waits for the
// previous.
var takeForecastRun = pg.SQL(`
SELECT r.tenant_id, r.location_id, r.as_of::text AS as_of, r.previous::text AS previous, r.closed_by, r.closed_at, r.correlation_id,
       r.traceparent, r.replay, r.next_item, r.week, coalesce(r.first_day::text, '') AS first_day
FROM forecast_run r
WHERE NOT r.done AND NOT EXISTS (
    SELECT FROM forecast_run o
    WHERE NOT o.done AND o.tenant_id = r.tenant_id AND o.location_id = r.location_id AND o.as_of < r.as_of)
ORDER BY r.as_of, r.tenant_id, r.location_id
LIMIT 1
FOR UPDATE OF r SKIP LOCKED`)

// TakeForecastRun locks the oldest due run that no other transaction holds; ErrNotFound when there is none.
func TakeForecastRun(ctx context.Context, tx store.Tx) (ForecastRun, error) {
	return pg.One[ForecastRun](ctx, tx, "taking a due forecast run", takeForecastRun)
}

var moveForecastRun = pg.SQL(`
UPDATE forecast_run SET next_item = $4, week = $5, first_day = nullif($6, '')::date, made = made + $7, done = $8
WHERE tenant_id = $1 AND location_id = $2 AND as_of = $3::date`)

// MoveForecastRun records the progress of a run that this transaction has taken: how many more forecasts it made, and
// whether it is done.
func MoveForecastRun(ctx context.Context, tx store.Tx, r ForecastRun, made int, done bool) error {
	return pg.Write(ctx, tx, fmt.Sprintf("recording the progress of the forecasts of %s as of %s", r.Location, r.AsOf), moveForecastRun, r.Tenant, r.Location, string(r.AsOf), r.NextItem, r.Week, string(r.FirstDay), made, done)
}

var dueForecasts = pg.SQL(`SELECT count(*) FROM forecast_run WHERE NOT done`)

// DueForecasts counts the runs that have not ended: they will emit more events.
func DueForecasts(ctx context.Context, db *store.DB) (int, error) {
	return pg.One[int](ctx, db, "counting due forecast runs", dueForecasts)
}

// The items of a location are found by skipping along the key, so that an item's older rows cost nothing. An item
// without a row in the period costs one lookup.
const itemsOfLocation = `
WITH RECURSIVE walk AS (
    (SELECT item_id FROM demand WHERE tenant_id = $1 AND location_id = $2 AND item_id > $3 ORDER BY item_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.item_id FROM demand d WHERE d.tenant_id = $1 AND d.location_id = $2 AND d.item_id > walk.item_id ORDER BY d.item_id LIMIT 1)
    FROM walk WHERE walk.item_id IS NOT NULL
), items AS (SELECT item_id FROM walk WHERE item_id IS NOT NULL LIMIT $4)`

var demandHistories = pg.SQL(itemsOfLocation + `
SELECT items.item_id, f.day::text AS first, h.days, h.units
FROM items
CROSS JOIN LATERAL (SELECT min(d.day) AS day FROM demand d WHERE d.tenant_id = $1 AND d.location_id = $2 AND d.item_id = items.item_id) f
CROSS JOIN LATERAL (
    SELECT array_agg(d.day - $5::date) AS days, array_agg(greatest(d.sold - d.returned, 0)) AS units
    FROM demand d WHERE d.tenant_id = $1 AND d.location_id = $2 AND d.item_id = items.item_id AND d.day >= $5::date AND d.day <= $6::date) h
ORDER BY items.item_id`)

// DemandHistory is the daily demand for an item: sold less returned on the same day, at least zero. Days count from
// the first requested day, and are those with a sale or a return, in no order.
type DemandHistory struct {
	Item  string          `db:"item_id"`
	First event.Date      `db:"first"` // of all days, also outside the period
	Days  pq.Int64Array   `db:"days"`
	Units pq.Float64Array `db:"units"`
}

// DemandHistories reads the demand from first to last for the next items of the run, at most limit. Items without
// demand in the period have no days.
func DemandHistories(ctx context.Context, tx store.Tx, r ForecastRun, first, last event.Date, limit int) ([]DemandHistory, error) {
	return pg.List[DemandHistory](ctx, tx, "reading the demand of "+r.Location, demandHistories, r.Tenant, r.Location, r.NextItem, limit, string(first), string(last))
}

// OFFSET 0 keeps the planner from one large join, which reads all years of the location.
var tradeByDay = pg.SQL(itemsOfLocation + `
SELECT d.day - $5::date, count(*)
FROM items JOIN LATERAL (
    SELECT d.day FROM demand d
    WHERE d.tenant_id = $1 AND d.location_id = $2 AND d.item_id = items.item_id AND d.day >= $5::date AND d.day <= $6::date
      AND d.sold > d.returned OFFSET 0) d ON true
GROUP BY d.day`)

// noLimit is more items than any location has.
const noLimit = 1 << 30

// TradeByDay counts, for each day from first to last, the items of the location that had demand.
func TradeByDay(ctx context.Context, tx store.Tx, at masterdata.LocationKey, first, last event.Date) ([]float64, error) {
	days := int(last.Time().Sub(first.Time())/(24*time.Hour)) + 1
	trade := make([]float64, max(0, days))
	err := pg.Each(ctx, tx, fmt.Sprintf("counting the demand of %s", at.Location), tradeByDay, func(row *sql.Rows) error {
		var day, items int
		if err := row.Scan(&day, &items); err != nil {
			return err
		}
		trade[day] = float64(items)
		return nil
	}, at.Tenant, at.Location, "", noLimit, string(first), string(last))
	return trade, err
}
