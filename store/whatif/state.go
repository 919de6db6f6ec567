package whatif

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// Position is the stock of a position at the beginning of a run.
type Position struct {
	masterdata.PositionKey
	OnHand event.Decimal
	// Known: more than sales and returns had moved it.
	Known bool
	At    time.Time // of its last movement
}

var openingPositions = pg.SQL(`
SELECT tenant_id, item_id, location_id, on_hand, stock_known, latest_at FROM replenishment_state ORDER BY tenant_id, item_id, location_id`)

// Opening are the positions that a side has been filled with.
func Opening(ctx context.Context, side *store.DB) (list []Position, err error) {
	err = pg.Each(ctx, side, "reading the opening stock", openingPositions, func(row *sql.Rows) error {
		var p Position
		err := row.Scan(&p.Tenant, &p.Item, &p.Location, &p.OnHand, &p.Known, &p.At)
		list = append(list, p)
		return err
	})
	return list, err
}

// Supplier is what a run needs to know of one.
type Supplier struct{ Tenant, Supplier string }

var leadTimes = pg.SQL(`SELECT tenant_id, supplier_id, lead_time_days FROM supplier`)

// LeadTimes are the days from order to delivery by supplier.
func LeadTimes(ctx context.Context, side *store.DB) (map[Supplier]int, error) {
	days := map[Supplier]int{}
	err := pg.Each(ctx, side, "reading the suppliers' lead times", leadTimes, func(row *sql.Rows) error {
		var s Supplier
		var n int
		err := row.Scan(&s.Tenant, &s.Supplier, &n)
		days[s] = n
		return err
	})
	return days, err
}

// Cost is what one unit of an item costs, in the currency of its tenant.
type Cost struct {
	Unit     decimal.Decimal
	Currency string
}

var unitCosts = pg.SQL(`
SELECT i.tenant_id, i.item_id, i.unit_cost, coalesce(s.currency, '') FROM item i LEFT JOIN tenant_setting s USING (tenant_id)
WHERE i.unit_cost IS NOT NULL`)

// UnitCosts are the costs that are known.
func UnitCosts(ctx context.Context, side *store.DB) (map[masterdata.ItemKey]Cost, error) {
	costs := map[masterdata.ItemKey]Cost{}
	err := pg.Each(ctx, side, "reading the items' costs", unitCosts, func(row *sql.Rows) error {
		var k masterdata.ItemKey
		var unit event.Decimal
		var currency string
		err := row.Scan(&k.Tenant, &k.Item, &unit, &currency)
		costs[k] = Cost{unit.Decimal, currency}
		return err
	})
	return costs, err
}

// Planned gives of some receipts, by the id of the INVENTORY_UPDATED that each led to, how much came for orders that a
// run makes itself. The table is the run's alone, so that the statement is not among the registered ones.
func Planned(ctx context.Context, side *store.DB, updates []uuid.UUID) (map[uuid.UUID]event.Decimal, error) {
	planned := map[uuid.UUID]event.Decimal{}
	if len(updates) == 0 {
		return planned, nil
	}
	rows, err := pg.Pool(side).QueryContext(ctx, `SELECT event_id, quantity FROM planned_receipt WHERE event_id = ANY ($1)`, pg.UUIDs(updates))
	if err != nil {
		return nil, fmt.Errorf("reading the receipts of orders: %w", pg.MapError(err))
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var quantity event.Decimal
		if err := rows.Scan(&id, &quantity); err != nil {
			return nil, err
		}
		planned[id] = quantity
	}
	return planned, pg.MapError(rows.Err())
}
