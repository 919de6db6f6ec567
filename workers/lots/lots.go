// Package lots keeps a read model of the lots that stock stands in: what is left
// of each, and until when it is good. It emits LOT_EXPIRING once for each lot that
// will expire soon.
//
// What comes in opens a lot or fills it; a lot is what has one number and one
// expiry date. What comes without a number (a return, a find, many a receipt) is
// in the unnamed lot. What goes out depletes first-expired-first-out. Tills do not
// record which lot they sold: this is what a shop that fills its shelves properly
// sold, not what it knows it sold.
//
// # Unknown goes first
//
// A lot whose expiry is not known, or is one of the sentinels, is not fresh, it
// is unknown. It goes out before the dated ones, the oldest receipt first:
// goods without a date are mostly those that were there first, and
// to think them sold errs towards a warning too many of the dated lots, never
// towards one too few.
//
// # Invariant
//
// The sum of a position's lots less its shortfall is what is on hand, after every
// transaction. Shortfall is what went out beyond what lots held (the till is
// right, the system is late); what comes in settles it first, so that a position
// with a shortfall has no lots.
//
//   - Movements are added up, and each is handled once (the inbox): the order in
//     which slots commit them changes which lot it was, never the sum.
//   - A worker that joins late takes what was on hand before the first movement
//     it handles as an opening, in the unnamed lot. Movements from before that
//     which arrive later are in the opening already: they move nothing, and a
//     receipt among them only gives its part of the opening its lot's name.
package lots

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/shadow"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/emits"
	"github.com/composerp/composerp/workers/worker/keeps"
)

// New declares the lots worker.
func New() worker.Worker {
	k := keeper{new(lots.Balances)}
	return worker.New("lots", worker.OnBatch(k.keep, event.TypeInventoryUpdated), emits.Types(event.TypeLotExpiring), worker.Linger(100*time.Millisecond), keeps.Tables(tables...))
}

// tables are those that keep writes. Rows that have no key but the balance's number are not compared.
var tables = []shadow.Table{
	{Name: "lot_balance", Key: []string{"tenant_id", "item_id", "location_id"}, Except: []string{"id"}},
	{Name: "lot"},
	{Name: "lot_expiring"},
	{Name: "lot_day", Key: []string{"tenant_id", "location_id"}},
}

type keeper struct{ shelves *lots.Balances }

// Fold books a batch of movements in a table of lots that is rebuilt. No business day begins and nothing is emitted:
// what this worker has handled has led to its events.
func Fold(ctx context.Context, tx store.Tx, events []event.Any) error {
	moves, keys := read(events)
	shelves, _, err := new(lots.Balances).Lock(ctx, tx, keys)
	if err != nil {
		return err
	}
	for i := range moves {
		book(shelves[moves[i].position()], &moves[i])
	}
	return lots.WriteBalances(ctx, tx, shelves)
}

// read gives the movements, and the position of each.
func read(events []event.Any) ([]move, []masterdata.PositionKey) {
	moves := make([]move, len(events))
	keys := make([]masterdata.PositionKey, len(events))
	for i, e := range events {
		moves[i] = move{Envelope: e.Envelope, InventoryUpdated: e.Payload.(event.InventoryUpdated)}
		keys[i] = moves[i].position()
	}
	return moves, keys
}

// keep books a batch of movements, in arrival order, set-based.
func (k keeper) keep(ctx context.Context, tx *worker.Tx, events []event.Any) error {
	moves, keys := read(events)
	shelves, days, err := k.shelves.Lock(ctx, tx, keys)
	if err != nil {
		return err
	}
	c := calendar{tx: tx, shelves: shelves, days: days}
	if err := c.open(ctx, moves); err != nil {
		return err
	}
	for i := range moves {
		m := &moves[i]
		c.turn(m)
		if lot := book(shelves[m.position()], m); lot != nil && !m.Metadata.History {
			c.watch(m, shelves[m.position()], lot)
		}
	}
	if err := lots.WriteBalances(ctx, tx, shelves); err != nil {
		return err
	}
	return c.close(ctx)
}

// move is one INVENTORY_UPDATED, and on which business day it was there.
type move struct {
	event.Envelope
	event.InventoryUpdated
	day event.Date
}

func (m *move) position() masterdata.PositionKey {
	return masterdata.PositionKey{Tenant: m.TenantID, Item: m.ItemID, Location: m.LocationID}
}

func (m *move) place() masterdata.LocationKey {
	return masterdata.LocationKey{Tenant: m.TenantID, Location: m.LocationID}
}
