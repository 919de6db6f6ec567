package ledger

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/workers/worker"
)

// book is one batch's work on locked positions: they change in memory, in
// arrival order, and are written once, at the end.
type book struct {
	tx        *worker.Tx
	positions map[masterdata.PositionKey]*ledger.Position
	changed   map[*ledger.Position]bool
	ends      []*ledger.Position // the changed ones, in the order of their first change
	movements []ledger.Movement
	since     map[int]ledger.Since // what is in the database after the time of these transfers, by their index
	counted   []*ledger.Position   // with a later CountedAt
}

// move books both lines of a transfer and emits the new state of the named position.
func (b *book) move(i int, t transfer) error {
	at := b.positions[t.at]
	after := b.after(i, t, at)
	change := t.quantity
	if t.counted {
		change = t.quantity.Sub(at.OnHand.Sub(after.Quantity))
	}
	if err := b.report(t, t.cause.Timestamp, 0, b.positions[t.counterpart], change); err != nil {
		return err
	}
	switch {
	case !after.NextCount.IsZero() && !change.IsZero():
		correction := transfer{cause: t.cause, at: t.at, kind: event.TransactionCount}
		if err := b.report(correction, after.NextCount, 2, b.positions[lossOf(t.at)], change.Neg()); err != nil {
			return err
		}
	case t.counted && after.NextCount.IsZero():
		at.CountedAt = &t.cause.Timestamp
		b.counted = append(b.counted, at)
	}
	return b.watch(t, at)
}

// report books a line and its counterpart, and emits the new state of the named position.
func (b *book) report(t transfer, when time.Time, line int, counterpart *ledger.Position, change event.Decimal) error {
	at := b.positions[t.at]
	b.book(t, when, line, at, change)
	b.book(t, when, line+1, counterpart, change.Neg())
	return b.tx.For(t.cause).Emit(PositionID(t.at), at.Sequence, event.InventoryUpdated{
		ItemID: t.at.Item, LocationID: t.at.Location,
		OnHand: at.OnHand, Reserved: at.Reserved, Available: at.Available(), Change: change,
		TransactionID: t.cause.ID.String(), TransactionType: t.kind,
		PurchaseOrderID: t.purchaseOrderID, TransferID: t.transferID, ToLocationID: t.toLocation, LotNumber: t.lotNumber, ExpiryDate: t.expiryDate,
	})
}

func (b *book) book(t transfer, when time.Time, line int, p *ledger.Position, change event.Decimal) {
	p.OnHand = p.OnHand.Add(change)
	p.Sequence++
	if !b.changed[p] {
		b.changed[p] = true
		b.ends = append(b.ends, p)
	}
	b.movements = append(b.movements, ledger.Movement{
		EventID: t.cause.ID, Line: line, Position: p.ID, Sequence: p.Sequence, Quantity: change, OnHand: p.OnHand,
		Type: t.kind, OccurredAt: when,
	})
}

// watch emits low stock once: when stock falls below the threshold, and not again
// before it has been at or above it. History that leaves stock low leaves the
// emission to the next event that is none.
func (b *book) watch(t transfer, p *ledger.Position) error {
	if p.Threshold == nil {
		return nil
	}
	low := p.Available().LessThan(*p.Threshold)
	if !low {
		p.Armed = true
		return nil
	}
	if !p.Armed || t.cause.Metadata.History {
		return nil
	}
	p.Armed = false
	return b.tx.For(t.cause).Emit(PositionID(t.at), p.Sequence, event.InventoryLowStock{
		ItemID: t.at.Item, LocationID: t.at.Location, Available: p.Available(), Threshold: *p.Threshold,
	})
}

func (b *book) close(ctx context.Context) error {
	if len(b.movements) == 0 {
		return nil
	}
	if err := ledger.Post(ctx, b.tx, b.movements, b.ends); err != nil || len(b.counted) == 0 {
		return err
	}
	slices.SortFunc(b.counted, func(a, c *ledger.Position) int { return cmp.Compare(a.ID, c.ID) })
	return ledger.NoteCounts(ctx, b.tx, slices.Compact(b.counted))
}

// positionSpace is the UUID namespace of positions (RFC 9562, 5.5).
var positionSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/inventory-position"))

// PositionID is the aggregate id of a position: a name-based UUID of its tenant, item and location.
func PositionID(k masterdata.PositionKey) string {
	return uuid.NewSHA1(positionSpace, []byte(k.Tenant+"\x00"+k.Item+"\x00"+k.Location)).String()
}
