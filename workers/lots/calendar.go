package lots

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/workers/worker"
)

// Unnamed is how LOT_EXPIRING calls a lot without a number: the event must have one.
const Unnamed = "unnamed"

// calendar watches the dates of lots while a batch is booked. LOT_EXPIRING is
// emitted when a business day begins at the lot's location (by the first event of a
// later day there) and when the lot comes in, if its expiry is near then. It is
// emitted once a lot, in the transaction that notes it in the database.
//
// Days are begun and lots noted after all shelves of the batch are locked; the
// lots of other shelves are looked at without a lock. What another slot takes in
// at that moment, dated a day before, may be emitted a day late.
//
// History (metadata.history) begins no day, and no lot is looked at because of it:
// the day that the next event begins finds what history has left.
type calendar struct {
	tx      *worker.Tx
	shelves map[masterdata.PositionKey]*lots.LotBalance
	days    map[masterdata.LocationKey]lots.LotDay
	// elsewhere are the lots that may be near on the days that begin in this batch, on shelves that it does not move.
	elsewhere map[masterdata.LocationKey][]lots.ExpiringLot
	near      []warning
}

// warning is a lot found near its expiry, on which day and by which movement.
type warning struct {
	lots.ExpiringLot
	day   event.Date
	cause event.Envelope
}

// open finds out on which day each movement was, and begins the days that have
// not begun yet. Where none begins it asks the database nothing.
func (c *calendar) open(ctx context.Context, moves []move) error {
	zones, err := masterdata.Zones(ctx, c.tx, slices.Collect(maps.Keys(c.days)))
	if err != nil {
		return err
	}
	latest := map[masterdata.LocationKey]event.Date{}
	for i := range moves {
		m := &moves[i]
		if m.Metadata.History {
			continue
		}
		p := m.place()
		m.day = masterdata.BusinessDate(m.Timestamp, zones[p])
		if m.day > c.days[p].Day && m.day > latest[p] {
			latest[p] = m.day
		}
	}
	if len(latest) == 0 {
		return nil
	}
	begun, err := lots.BeginDays(ctx, c.tx, latest)
	if err != nil {
		return err
	}
	until := map[masterdata.LocationKey]event.Date{}
	for p, day := range latest {
		if begun[p] {
			until[p] = c.horizon(p, day)
		} else { // another slot has begun it meanwhile
			c.days[p] = lots.LotDay{Day: day, WarningDays: c.days[p].WarningDays}
		}
	}
	if len(until) == 0 {
		return nil
	}
	found, err := lots.ToExpire(ctx, c.tx, until)
	if err != nil {
		return err
	}
	c.elsewhere = map[masterdata.LocationKey][]lots.ExpiringLot{}
	for _, l := range found {
		if c.shelves[l.PositionKey] == nil {
			p := masterdata.LocationKey{Tenant: l.Tenant, Location: l.Location}
			c.elsewhere[p] = append(c.elsewhere[p], l)
		}
	}
	return nil
}

// horizon is the last expiry that is near on a day.
func (c *calendar) horizon(p masterdata.LocationKey, day event.Date) event.Date {
	return day.AddDays(c.days[p].WarningDays)
}

// turn begins the movement's day, if it is a later one there, and looks at all lots of the location.
func (c *calendar) turn(m *move) {
	p := m.place()
	if m.day <= c.days[p].Day {
		return
	}
	c.days[p] = lots.LotDay{Day: m.day, WarningDays: c.days[p].WarningDays}
	for _, l := range c.elsewhere[p] {
		if l.Expiry <= c.horizon(p, m.day) {
			c.near = append(c.near, warning{l, m.day, m.Envelope})
		}
	}
	for _, s := range sorted(c.shelves) {
		if s.Tenant == p.Tenant && s.Location == p.Location {
			for _, lot := range s.Lots {
				c.watch(m, s, lot)
			}
		}
	}
}

// watch looks at one lot on the day it is at its location now.
func (c *calendar) watch(m *move, s *lots.LotBalance, lot *lots.Lot) {
	day := c.days[m.place()].Day
	if lot.Expiry == "" || lot.Expiry > c.horizon(m.place(), day) || !lot.Quantity.IsPositive() {
		return
	}
	c.near = append(c.near, warning{
		lots.ExpiringLot{PositionKey: s.PositionKey, Balance: s.ID, Number: lot.Number, Expiry: lot.Expiry, Quantity: lot.Quantity}, day, m.Envelope,
	})
}

// close emits the lots found near that were not emitted before.
func (c *calendar) close(ctx context.Context) error {
	if len(c.near) == 0 {
		return nil
	}
	names := make(map[lots.LotName]event.Date, len(c.near))
	for _, w := range c.near {
		if _, earlier := names[w.name()]; !earlier {
			names[w.name()] = w.day
		}
	}
	fresh, err := lots.NoteExpiring(ctx, c.tx, names)
	if err != nil {
		return err
	}
	for _, w := range c.near {
		if !fresh[w.name()] {
			continue
		}
		fresh[w.name()] = false // it may have been found twice in this batch
		if err := c.emit(w); err != nil {
			return fmt.Errorf("emitting that lot %q of %s at %s expires: %w", w.Number, w.Item, w.Location, err)
		}
	}
	return nil
}

func (w warning) name() lots.LotName {
	return lots.LotName{Balance: w.Balance, Number: w.Number, Expiry: w.Expiry}
}

func (c *calendar) emit(w warning) error {
	key := w.Item + "\x00" + w.Location + "\x00" + w.Number
	return c.tx.For(w.cause).EmitDue(key, w.Expiry, lotID(w.ExpiringLot), event.LotExpiring{
		ItemID: w.Item, LocationID: w.Location, LotNumber: cmp.Or(w.Number, Unnamed), Quantity: w.Quantity, ExpiryDate: w.Expiry,
	})
}

// lotSpace is the UUID namespace of lots (RFC 9562, 5.5).
var lotSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/lot"))

// lotID is the aggregate id of a lot: a name-based UUID of its position, number and expiry.
func lotID(l lots.ExpiringLot) string {
	return uuid.NewSHA1(lotSpace, []byte(l.Tenant+"\x00"+l.Item+"\x00"+l.Location+"\x00"+l.Number+"\x00"+string(l.Expiry))).String()
}
