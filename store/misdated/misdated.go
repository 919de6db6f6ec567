package misdated

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Movement is a movement with a business time that no bound allows.
type Movement struct {
	EventID    uuid.UUID     `db:"event_id" json:"eventId"`
	Tenant     string        `db:"tenant_id" json:"tenantId"`
	Item       string        `db:"item_id" json:"itemId"`
	Location   string        `db:"location_id" json:"locationId"`
	Type       string        `db:"type" json:"transactionType"`
	Quantity   event.Decimal `db:"quantity" json:"quantity"`
	OccurredAt time.Time     `db:"occurred_at" json:"timestamp"`
	// CorrectedTo is nil until it is corrected.
	CorrectedTo *time.Time `db:"corrected_to" json:"correctedTo"`
}

// latest is the latest time that the bounds of the tenant of the row allow to any of its sources.
const latest = `(clock_timestamp() + make_interval(hours => greatest(
    coalesce((SELECT b.max_ahead_hours FROM tenant_setting b WHERE b.tenant_id = r.tenant_id), 36),
    (SELECT max(b.max_ahead_hours) FROM source_setting b WHERE b.tenant_id = r.tenant_id))))`

// lastDay is the day of latest, in the time zone that has it last.
const lastDay = `(` + latest + ` AT TIME ZONE interval '14 hours')::date`

// allMovements are those that were found, and those that have come since: the bounds were wider for a while.
const allMovements = `(
    SELECT event_id, line, position_id, occurred_at, corrected_to FROM misdated_movement
    UNION ALL
    SELECT m.event_id, m.line, m.position_id, m.occurred_at, NULL FROM movement m JOIN position r ON r.id = m.position_id
    WHERE ` + ahead + ` AND NOT EXISTS (SELECT FROM misdated_movement x WHERE x.event_id = m.event_id AND x.line = m.line))`

// ahead is whether the movement m of the position r is. The condition on now is for the index.
const ahead = `m.occurred_at > now() AND m.occurred_at > ` + latest

var listMovements = pg.SQL(`
SELECT x.event_id, p.tenant_id, p.item_id, p.location_id, m.type, m.quantity, x.occurred_at, x.corrected_to
FROM ` + allMovements + ` x JOIN position p ON p.id = x.position_id JOIN movement m ON m.event_id = x.event_id AND m.line = x.line
WHERE x.line = 0 ORDER BY x.corrected_to IS NOT NULL, p.tenant_id, p.location_id, p.item_id, x.occurred_at, x.event_id`)

// List lists the misdated movements at the places that their events name; those that are to be corrected come first.
func List(ctx context.Context, db *store.DB) ([]Movement, error) {
	return pg.List[Movement](ctx, db, "listing misdated movements", listMovements)
}

// Health counts what is to be corrected.
type Health struct {
	Movements int // not corrected, at the places that their events name
	Calendars int // locations whose days are ahead of their tenant's bounds
}

var readHealth = pg.SQL(`
SELECT (SELECT count(*) FROM ` + allMovements + ` x WHERE x.corrected_to IS NULL AND x.line = 0) AS movements,
       (SELECT count(*) FROM (SELECT tenant_id, location_id FROM demand_calendar r WHERE open_day > ` + lastDay + `
                              UNION SELECT tenant_id, location_id FROM lot_day r WHERE day > ` + lastDay + `) c) AS calendars`)

// ReadHealth reads what is to be corrected.
func ReadHealth(ctx context.Context, db *store.DB) (Health, error) {
	return pg.One[Health](ctx, db, "reading what is misdated", readHealth)
}

// Correction is what a correction has changed, in rows.
type Correction struct {
	To        time.Time `json:"to"`
	Movements int       `json:"movements"`
	Demand    int       `json:"demand"`
	Calendars int       `json:"calendars"`
	Forecasts int       `json:"forecasts"` // with the runs that made them, deleted
	Lots      int       `json:"lots"`
	Positions int       `json:"positions"` // of replenishment
	// Recount are the positions to count anew.
	Recount []Position `json:"recount"`
	// Orders are the numbers of orders that are dated ahead; they stay.
	Orders []string `json:"orders"`
}

// Position is a place where an item stands.
type Position struct {
	Tenant   string `db:"tenant_id" json:"tenantId"`
	Item     string `db:"item_id" json:"itemId"`
	Location string `db:"location_id" json:"locationId"`
}

var errRehearsed = errors.New("rehearsed")

// Correct corrects everything that is ahead of its bounds to a time, at or before now, and reports what it has changed;
// a dry run changes nothing.
func Correct(ctx context.Context, db *store.DB, to time.Time, dryRun bool) (Correction, error) {
	c := Correction{To: to}
	err := db.InTx(ctx, func(tx store.Tx) (err error) {
		if c, err = correct(ctx, tx, to); err == nil && dryRun {
			return errRehearsed
		}
		return err
	})
	if errors.Is(err, errRehearsed) {
		err = nil
	}
	if err != nil {
		return Correction{}, fmt.Errorf("correcting what is misdated: %w", err)
	}
	return c, nil
}

func correct(ctx context.Context, tx store.Tx, to time.Time) (Correction, error) {
	c := Correction{To: to, Recount: []Position{}, Orders: []string{}}
	if _, err := pg.Exec(ctx, tx, findMovements); err != nil {
		return c, err
	}
	var err error
	if c.Recount, err = pg.List[Position](ctx, tx, "locking the positions", lockPositions); err != nil {
		return c, err
	}
	for _, step := range []struct {
		rows *int
		q    pg.Statement
		args []any
	}{
		{&c.Movements, correctMovements, []any{to}}, {nil, correctCounts, nil}, {nil, correctViews, []any{to}}, {&c.Demand, moveDemand, []any{to}},
		{&c.Forecasts, deleteRuns, nil}, {&c.Forecasts, deleteForecasts, nil}, {&c.Calendars, correctCalendars, []any{to}}, {&c.Calendars, correctLotDays, []any{to}},
		{&c.Lots, correctLots, []any{to}}, {nil, deleteExpected, nil}, {nil, renewExpected, nil}, {&c.Positions, correctReplenishment, []any{to}},
	} {
		n, err := pg.Exec(ctx, tx, step.q, step.args...)
		if err != nil {
			return c, err
		}
		if step.rows != nil {
			*step.rows += int(n)
		}
	}
	c.Orders, err = pg.List[string](ctx, tx, "reading the orders that are dated ahead", ordersAhead)
	return c, err
}
