package misdated

import "github.com/composerp/composerp/store/internal/pg"

var findMovements = pg.SQL(`
INSERT INTO misdated_movement (event_id, line, position_id, occurred_at)
SELECT m.event_id, m.line, m.position_id, m.occurred_at
FROM movement m JOIN position r ON r.id = m.position_id
WHERE ` + ahead + `
ON CONFLICT DO NOTHING`)

// The positions that a count makes right: those where a count was booked, or is misdated itself. They are locked in the
// ledger's order.
var lockPositions = pg.SQL(`
SELECT p.tenant_id, p.item_id, p.location_id FROM position p
WHERE p.counted_at IS NOT NULL AND p.id IN (SELECT position_id FROM misdated_movement WHERE corrected_to IS NULL)
ORDER BY p.tenant_id, p.item_id, p.location_id FOR NO KEY UPDATE OF p`)

var correctMovements = pg.SQL(`
UPDATE misdated_movement x SET corrected_to = $1, corrected_sequence = p.sequence
FROM position p WHERE p.id = x.position_id AND x.corrected_to IS NULL`)

var correctCounts = pg.SQL(`
UPDATE position r SET counted_at = (
    SELECT max(coalesce(x.corrected_to, m.occurred_at)) FROM movement m LEFT JOIN misdated_movement x ON x.event_id = m.event_id AND x.line = m.line
    WHERE m.position_id = r.id AND m.type = 'COUNT' AND m.line = 0)
WHERE r.counted_at > ` + latest)

var correctViews = pg.SQL(`UPDATE stock r SET last_movement_at = $1 WHERE r.last_movement_at > ` + latest)

// dayThere is the calendar day of a time at the location of the row.
const dayThere = `($1::timestamptz AT TIME ZONE coalesce((SELECT l.timezone FROM location l WHERE l.tenant_id = r.tenant_id AND l.location_id = r.location_id), 'UTC'))::date`

var moveDemand = pg.SQL(`
WITH ahead AS (DELETE FROM demand r WHERE r.day > ` + lastDay + ` RETURNING r.*)
INSERT INTO demand AS d (tenant_id, location_id, item_id, day, sold, returned)
SELECT tenant_id, location_id, item_id, ` + dayThere + `, sum(sold), sum(returned) FROM ahead r GROUP BY 1, 2, 3, 4
ON CONFLICT (tenant_id, location_id, item_id, day) DO UPDATE SET sold = d.sold + excluded.sold, returned = d.returned + excluded.returned`)

var deleteRuns = pg.SQL(`DELETE FROM forecast_run r WHERE r.as_of > ` + lastDay)

var deleteForecasts = pg.SQL(`DELETE FROM forecast r WHERE r.start_day > ` + lastDay)

// A run is due from the last one that was right.
var correctCalendars = pg.SQL(`
UPDATE demand_calendar r SET open_day = ` + dayThere + `,
       last_run = coalesce((SELECT max(f.as_of) FROM forecast_run f WHERE f.tenant_id = r.tenant_id AND f.location_id = r.location_id), ` + dayThere + ` - 1)
WHERE r.open_day > ` + lastDay)

var correctLotDays = pg.SQL(`UPDATE lot_day r SET day = ` + dayThere + ` WHERE r.day > ` + lastDay)

var correctLots = pg.SQL(`UPDATE lot r SET received_at = $1 WHERE r.received_at > ` + latest)

// What replenishment expects comes from the newest forecast that is left.
var deleteExpected = pg.SQL(`
DELETE FROM replenishment_forecast f USING replenishment_state r WHERE r.id = f.state_id AND r.forecast_start > ` + lastDay)

var renewExpected = pg.SQL(`
INSERT INTO replenishment_forecast (state_id, daily, error_std_dev)
SELECT r.id, f.daily::numeric[], f.error_std_dev
FROM replenishment_state r CROSS JOIN LATERAL (
    SELECT f.daily, f.error_std_dev FROM forecast f
    WHERE f.tenant_id = r.tenant_id AND f.location_id = r.location_id AND f.item_id = r.item_id ORDER BY f.start_day DESC LIMIT 1) f
WHERE r.forecast_start > ` + lastDay)

// A need that is held until a day ahead is held until the corrected one.
var correctReplenishment = pg.SQL(`
UPDATE replenishment_state r SET
    latest_at = CASE WHEN r.latest_at > ` + latest + ` THEN $1 ELSE r.latest_at END,
    held_on = CASE WHEN r.held_on > ` + lastDay + ` THEN ` + dayThere + ` ELSE r.held_on END,
    planned_version = CASE WHEN r.forecast_start > ` + lastDay + ` THEN NULL ELSE r.planned_version END,
    forecast_start = CASE WHEN r.forecast_start > ` + lastDay + `
        THEN (SELECT max(f.start_day) FROM forecast f WHERE f.tenant_id = r.tenant_id AND f.location_id = r.location_id AND f.item_id = r.item_id)
        ELSE r.forecast_start END
WHERE r.latest_at > ` + latest + ` OR r.held_on > ` + lastDay + ` OR r.forecast_start > ` + lastDay)

var ordersAhead = pg.SQL(`SELECT r.po_number FROM purchase_order r WHERE r.created_at > ` + latest + ` ORDER BY r.po_number`)
