package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

var foldPositions = pg.SQL(`
INSERT INTO position AS p (tenant_id, item_id, location_id, on_hand, reserved, sequence)
SELECT tenant_id, item_id, location_id, on_hand, reserved, sequence
FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::numeric[], $6::bigint[]) AS n(tenant_id, item_id, location_id, on_hand, reserved, sequence)
ON CONFLICT (tenant_id, item_id, location_id) DO UPDATE
SET on_hand = excluded.on_hand, reserved = excluded.reserved, sequence = excluded.sequence WHERE p.sequence < excluded.sequence`)

// FoldPositions writes positions as INVENTORY_UPDATED has them, the one with the highest sequence of each. It is for
// tables that are rebuilt from the log: the live ones are the sums of their movements.
func FoldPositions(ctx context.Context, tx store.Tx, events []event.Any) error {
	newest := make(map[masterdata.PositionKey]int, len(events))
	for i := range events {
		p, ok := events[i].Payload.(event.InventoryUpdated)
		if !ok {
			continue
		}
		key := masterdata.PositionKey{Tenant: events[i].TenantID, Item: p.ItemID, Location: p.LocationID}
		if j, seen := newest[key]; !seen || events[j].Metadata.Sequence < events[i].Metadata.Sequence {
			newest[key] = i
		}
	}
	columns := pg.NewColumns(6, len(newest))
	for _, key := range slices.SortedFunc(maps.Keys(newest), masterdata.ComparePositionKeys) {
		e := &events[newest[key]]
		p := e.Payload.(event.InventoryUpdated)
		columns.Add(key.Tenant, key.Item, key.Location, p.OnHand, p.Reserved, e.Metadata.Sequence)
	}
	if columns.Rows() == 0 {
		return nil
	}
	return pg.Write(ctx, tx, fmt.Sprintf("folding %d positions", columns.Rows()), foldPositions, columns...)
}
