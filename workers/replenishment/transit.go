package replenishment

import (
	"context"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
)

// transit is what a batch learns of transfers: known is what there was before and what the batch has added so far,
// news what it has added.
type transit struct {
	known, news map[planning.TransferKey]planning.TransferLegs
}

// transferOf is the transfer that a movement is of, and the location that its goods go to or have come to. The version
// before named no transfer in its events: their sum is kept under no name.
func transferOf(tenant string, payload event.InventoryUpdated) (planning.TransferKey, string) {
	key := planning.TransferKey{Tenant: tenant, Transfer: payload.TransferID, Item: payload.ItemID}
	switch {
	case payload.TransferID == "":
		return key, ""
	case payload.Change.IsNegative():
		return key, payload.ToLocationID
	}
	return key, payload.LocationID
}

// readTransfers reads what is known of the batch's transfers. Rows need no lock: who moves goods in or out of transit
// to a position of this batch waits for the position's lock, but for goods that arrive at a third location.
func (b *batch) readTransfers(ctx context.Context, events []event.Any) error {
	b.transit = transit{map[planning.TransferKey]planning.TransferLegs{}, map[planning.TransferKey]planning.TransferLegs{}}
	for i := range events {
		if payload, ok := events[i].Payload.(event.InventoryUpdated); ok && payload.TransactionType == event.TransactionTransfer {
			key, _ := transferOf(events[i].TenantID, payload)
			b.transit.known[key] = planning.TransferLegs{}
			b.transit.news[key] = planning.TransferLegs{}
		}
	}
	if len(b.transit.known) == 0 {
		return nil
	}
	return planning.ReadTransfers(ctx, b.tx, b.transit.known)
}

// transfer books a movement of a transfer, and changes what is in transit to the positions of the batch.
func (b *batch) transfer(e *event.Any, payload event.InventoryUpdated) {
	if payload.TransactionType != event.TransactionTransfer {
		return
	}
	key, location := transferOf(e.TenantID, payload)
	leg := planning.TransferLeg{Received: payload.Change, ReceivedAt: e.Timestamp}
	if payload.Change.IsNegative() {
		leg = planning.TransferLeg{Sent: payload.Change.Neg(), SentAt: e.Timestamp}
	}
	known := b.transit.known[key]
	b.inTransit(key, known, event.Decimal.Sub)
	known.Add(location, leg)
	b.inTransit(key, known, event.Decimal.Add)
	b.transit.news[key].Add(location, leg)
}

// inTransit adds or subtracts what is on its way by a transfer at those of its positions that the batch may order for.
func (b *batch) inTransit(key planning.TransferKey, legs planning.TransferLegs, change func(a, b event.Decimal) event.Decimal) {
	if key.Transfer == "" {
		return
	}
	for location := range legs {
		p := b.positions[masterdata.PositionKey{Tenant: key.Tenant, Item: key.Item, Location: location}]
		if p != nil && p.plan != nil {
			p.plan.InTransit = change(p.plan.InTransit, legs.Rest(location))
		}
	}
}
