package whatif

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/whatif"
)

// Content is what a run would read.
type Content struct {
	// Events are the events that a side is given, by type.
	Events map[event.Type]int64 `json:"events"`
	// Positions are those that the events name.
	Positions int `json:"positions"`
}

// Count reads the span and counts; it needs no tables of its own.
func Count(ctx context.Context, db *store.DB, asked Asked) (Content, error) {
	c := Content{Events: map[event.Type]int64{}}
	for _, t := range inputs {
		c.Events[t] = 0
	}
	positions := map[masterdata.PositionKey]bool{}
	var latest time.Time
	err := whatif.Read(ctx, db, asked.Archives, asked.Span, inputs, func(events []whatif.Logged, read, all int64) error {
		for _, l := range events {
			e, err := event.Decode(l.Body)
			if err != nil {
				return err
			}
			c.Events[e.Type]++
			if e.Timestamp.After(latest) {
				latest = e.Timestamp
			}
			for _, k := range positionsOf(e) {
				positions[k] = true
			}
		}
		if asked.Progress != nil {
			asked.Progress(read, all, latest)
		}
		return nil
	})
	c.Positions = len(positions)
	return c, err
}

func positionsOf(e event.Any) []masterdata.PositionKey {
	at := func(item, location string) masterdata.PositionKey {
		return masterdata.PositionKey{Tenant: e.TenantID, Item: item, Location: location}
	}
	switch p := e.Payload.(type) {
	case event.SaleCompleted:
		return []masterdata.PositionKey{at(p.ItemID, p.LocationID)}
	case event.ReceiptCompleted:
		return []masterdata.PositionKey{at(p.ItemID, p.LocationID)}
	case event.StockAdjusted:
		return []masterdata.PositionKey{at(p.ItemID, p.LocationID)}
	case event.StockCounted:
		return []masterdata.PositionKey{at(p.ItemID, p.LocationID)}
	case event.TransferInitiated:
		return []masterdata.PositionKey{at(p.ItemID, p.FromLocationID), at(p.ItemID, p.ToLocationID)}
	}
	return nil
}
