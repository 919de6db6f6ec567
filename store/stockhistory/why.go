package stockhistory

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
	"github.com/composerp/composerp/store/masterdata"
)

// Explanation is a position's figure and the movements that have led to it. The JSON names are the events'.
type Explanation struct {
	Tenant   string     `json:"tenantId"`
	Item     string     `json:"itemId"`
	ItemName string     `json:"itemName,omitempty"`
	Location string     `json:"locationId"`
	AsOf     *time.Time `json:"asOf,omitempty"` // nil: now
	// Opening is what stood there before the first movement that is kept; nil: all are.
	Opening *Balance `json:"opening,omitempty"`
	// Before is what the movements before the first one of Movements come to; nil: there are none.
	Before    *Balance   `json:"before,omitempty"`
	Movements []Movement `json:"movements"`
	// OnHand is what the movements give.
	OnHand   event.Decimal `json:"onHand"`
	Reserved event.Decimal `json:"reserved"`
	// Shown is the row of the stock read model; nil: it has none, or AsOf is set.
	Shown *Shown `json:"stock,omitempty"`
	// Behind is how many movements the read model has still to see.
	Behind int64 `json:"behind"`
	// Faults are what does not add up, in words.
	Faults []string `json:"faults"`
}

// Balance is what a number of movements come to.
type Balance struct {
	Movements int64         `json:"movements"`
	OnHand    event.Decimal `json:"onHand"`
}

// Shown is what `stock` shows of a position, as of a movement.
type Shown struct {
	OnHand   event.Decimal `json:"onHand"`
	Sequence int64         `json:"sequence"`
}

// Movement is a movement of the position, the event that it follows from, and the balance after it.
type Movement struct {
	Sequence int64     `json:"sequence"` // among the position's movements
	EventID  uuid.UUID `json:"eventId"`
	// Type is the event's; "" where the log does not have it.
	Type       string        `json:"eventType,omitempty"`
	OccurredAt time.Time     `json:"timestamp"` // business time
	LoggedAt   *time.Time    `json:"loggedAt,omitempty"`
	Kind       string        `json:"transactionType"`
	Quantity   event.Decimal `json:"quantity"`
	OnHand     event.Decimal `json:"onHand"`
	// Correction: it sets right at the time of a count what came after the count was booked.
	Correction bool `json:"correction,omitempty"`
	Documents
}

// Documents are what the event names.
type Documents struct {
	Sale       string `json:"saleId,omitempty"`
	Receipt    string `json:"receiptId,omitempty"`
	Transfer   string `json:"transferId,omitempty"`
	Adjustment string `json:"adjustmentId,omitempty"`
	Count      string `json:"countId,omitempty"`
	Order      string `json:"purchaseOrderId,omitempty"` // as the event names it
	Reason     string `json:"reason,omitempty"`
}

// Question says what to explain.
type Question struct {
	masterdata.PositionKey
	// AsOf: leave out what is dated after it; zero: nothing.
	AsOf time.Time
	// Last is the most movements to give, the last ones; 0: all.
	Last int
	// Before: only movements before this sequence number; 0: all.
	Before int64
	// Archives, unless nil, have the events that the log does not have any more.
	Archives *archive.Folder
}

// position is a row of the ledger beside that of the read model.
type position struct {
	ID        int64           `db:"id"`
	Tenant    string          `db:"tenant_id"`
	Name      string          `db:"name"`
	OnHand    event.Decimal   `db:"on_hand"`
	Reserved  event.Decimal   `db:"reserved"`
	Sequence  int64           `db:"sequence"`
	Shown     *event.Decimal  `db:"shown"`
	ShownUpto sql.Null[int64] `db:"shown_upto"`
}

var findPosition = pg.SQL(`
SELECT p.id, p.tenant_id, coalesce(i.name, '') AS name, p.on_hand, p.reserved, p.sequence, s.on_hand AS shown, s.sequence AS shown_upto
FROM position p LEFT JOIN item i USING (tenant_id, item_id) LEFT JOIN stock s USING (tenant_id, item_id, location_id)
WHERE p.tenant_id = $1 AND p.item_id = $2 AND p.location_id = $3`)

// totals is what all movements of a position come to. They count from first without a step left out, and each leaves
// what the one before it left and its own quantity; else gap and odd are the first that do not.
type totals struct {
	N       int64          `db:"n"`
	First   int64          `db:"first"`
	Last    int64          `db:"last"`
	Opening event.Decimal  `db:"opening"`
	OnHand  event.Decimal  `db:"on_hand"`
	AtShown *event.Decimal `db:"at_shown"`
	Gap     *int64         `db:"gap"`
	Odd     *int64         `db:"odd"`
}

var addUp = pg.SQL(`
SELECT count(*) AS n, coalesce(min(sequence), 0) AS first, coalesce(max(sequence), 0) AS last,
       coalesce(min(before) FILTER (WHERE ordinal = 1), 0) AS opening, coalesce(min(before) FILTER (WHERE ordinal = 1), 0) + coalesce(sum(quantity), 0) AS on_hand,
       min(on_hand) FILTER (WHERE sequence = $2) AS at_shown, min(sequence) FILTER (WHERE step <> 1) AS gap, min(sequence) FILTER (WHERE off <> 0) AS odd
FROM (SELECT sequence, quantity, on_hand, on_hand - quantity AS before, row_number() OVER w AS ordinal,
             sequence - lag(sequence) OVER w AS step, on_hand - quantity - lag(on_hand) OVER w AS off
      FROM movement WHERE position_id = $1 WINDOW w AS (ORDER BY sequence)) m`)

var lastMovements = pg.SQL(`
SELECT m.sequence, m.ordinal, m.event_id, m.line, m.type, m.quantity, m.total, m.at, coalesce(e.type, ''), e.logged_at, coalesce(e.body, '')
FROM (SELECT * FROM (
          SELECT m.sequence, m.event_id, m.line, m.type, m.quantity, ` + movementTime + ` AS at,
                 row_number() OVER w AS ordinal, sum(m.quantity) OVER w AS total
          FROM ` + movementsSQL + ` WHERE m.position_id = $1 AND ($2::timestamptz IS NULL OR ` + movementTime + ` <= $2) WINDOW w AS (ORDER BY m.sequence)) m
      WHERE $3 = 0 OR m.sequence < $3 ORDER BY m.sequence DESC LIMIT $4) m
LEFT JOIN admission a ON a.event_id = m.event_id LEFT JOIN event_log e ON e.seq = a.seq
ORDER BY m.sequence`)

// total is what all movements up to a business time come to.
var total = pg.SQL(`
SELECT coalesce(sum(m.quantity), 0) FROM ` + movementsSQL + ` WHERE m.position_id = $1 AND ($2::timestamptz IS NULL OR ` + movementTime + ` <= $2)`)

// Explain tells why a position has its figure. ErrNotFound: the ledger knows no such position.
func Explain(ctx context.Context, db *store.DB, q Question) (Explanation, error) {
	x := Explanation{Tenant: q.Tenant, Item: q.Item, Location: q.Location, Movements: []Movement{}, Faults: []string{}}
	tx, err := pg.BeginSnapshot(ctx, db)
	if err != nil {
		return x, err
	}
	defer tx.Rollback()
	if err := x.read(ctx, tx, q); err != nil {
		return x, fmt.Errorf("explaining the stock of %s at %s: %w", q.Item, q.Location, err)
	}
	if err := tx.Rollback(); err != nil {
		return x, err
	}
	return x, x.readArchived(ctx, db, q.Archives)
}

func (x *Explanation) read(ctx context.Context, tx store.Tx, q Question) error {
	var p position
	if err := pg.Get(ctx, tx, &p, findPosition, q.Tenant, q.Item, q.Location); err != nil {
		return err
	}
	var t totals
	if err := pg.Get(ctx, tx, &t, addUp, p.ID, p.ShownUpto.V); err != nil {
		return err
	}
	x.ItemName, x.Reserved = p.Name, p.Reserved
	if t.First > 1 {
		x.Opening = &Balance{Movements: t.First - 1, OnHand: t.Opening}
	}
	x.audit(&p, &t)
	var asOf any
	if !q.AsOf.IsZero() {
		asOf, x.AsOf, x.Shown, x.Behind = q.AsOf, &q.AsOf, nil, 0
	}
	var sum event.Decimal
	if err := pg.Get(ctx, tx, &sum, total, p.ID, asOf); err != nil {
		return err
	}
	x.OnHand = t.Opening.Add(sum)
	return x.readMovements(ctx, tx, p.ID, asOf, q, t.Opening)
}

func (x *Explanation) readMovements(ctx context.Context, tx store.Tx, id int64, asOf any, q Question, opening event.Decimal) error {
	return pg.Each(ctx, tx, "reading its movements", lastMovements, func(row *sql.Rows) error {
		var m Movement
		var ordinal int64
		var line int
		var body []byte
		if err := row.Scan(&m.Sequence, &ordinal, &m.EventID, &line, &m.Kind, &m.Quantity, &m.OnHand, &m.OccurredAt, &m.Type, &m.LoggedAt, &body); err != nil {
			return err
		}
		m.OnHand = opening.Add(m.OnHand)
		m.Correction = line > 1
		m.name(body)
		if len(x.Movements) == 0 && ordinal > 1 {
			x.Before = &Balance{Movements: ordinal - 1, OnHand: m.OnHand.Sub(m.Quantity)}
		}
		x.Movements = append(x.Movements, m)
		return nil
	}, id, asOf, q.Before, sqlvalue.AtMost(q.Last))
}

// name takes the documents that the event names. What is no JSON names none.
func (m *Movement) name(body []byte) {
	var e struct {
		Payload Documents `json:"payload"`
	}
	if json.Unmarshal(body, &e) == nil {
		m.Documents = e.Payload
	}
}

// audit notes what does not add up.
func (x *Explanation) audit(p *position, t *totals) {
	fault := func(format string, args ...any) { x.Faults = append(x.Faults, fmt.Sprintf(format, args...)) }
	if t.Gap != nil {
		fault("a movement before number %d is missing", *t.Gap)
	}
	if t.Odd != nil {
		fault("movement %d leaves another balance than the one before it and its quantity give", *t.Odd)
	}
	if !p.OnHand.Equal(t.OnHand) {
		fault("the ledger has %s on hand, and the movements give %s", p.OnHand, t.OnHand)
	}
	if p.Sequence != t.Last {
		fault("the ledger counts %d movements, and the last one that is kept is number %d", p.Sequence, t.Last)
	}
	if p.Shown == nil {
		x.Behind = p.Sequence
		return
	}
	x.Shown = &Shown{*p.Shown, p.ShownUpto.V}
	x.Behind = max(0, p.Sequence-p.ShownUpto.V)
	switch {
	case p.ShownUpto.V > p.Sequence:
		fault("stock shows movement %d, and the ledger has %d", p.ShownUpto.V, p.Sequence)
	case t.AtShown != nil && !t.AtShown.Equal(*p.Shown):
		fault("stock shows %s on hand after movement %d, and the movements give %s", p.Shown, p.ShownUpto.V, t.AtShown)
	}
}

var tenantsOf = pg.SQL(`SELECT tenant_id FROM position WHERE item_id = $1 AND location_id = $2 ORDER BY tenant_id`)

// TenantsOf returns the tenants that have a position of the item at the location.
func TenantsOf(ctx context.Context, db *store.DB, item, location string) ([]string, error) {
	return pg.List[string](ctx, db, fmt.Sprintf("looking for %s at %s", item, location), tenantsOf, item, location)
}

var positionsLike = pg.SQL(`
SELECT DISTINCT item_id, location_id FROM position
WHERE ($1 = '' OR tenant_id = $1) AND left(location_id, 1) <> '@' AND (item_id = $2 OR location_id = $3) ORDER BY item_id, location_id LIMIT 20000`)

var itemsKnown = pg.SQL(`SELECT DISTINCT item_id FROM position WHERE ($1 = '' OR tenant_id = $1) ORDER BY item_id LIMIT 20000`)

// Near returns what a name that is not known may have meant: the locations of the item, else the items of the location,
// else all items.
func Near(ctx context.Context, db *store.DB, of masterdata.PositionKey) (items, locations []string, err error) {
	rows, err := pg.List[struct {
		Item     string `db:"item_id"`
		Location string `db:"location_id"`
	}](ctx, db, "reading positions with such names", positionsLike, of.Tenant, of.Item, of.Location)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range rows {
		if r.Item == of.Item {
			locations = append(locations, r.Location)
		} else {
			items = append(items, r.Item)
		}
	}
	if len(rows) == 0 {
		items, err = pg.List[string](ctx, db, "reading the items", itemsKnown, of.Tenant)
	}
	return slices.Compact(items), locations, err
}
