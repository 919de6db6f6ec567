package planning

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Transfers
//
// transfer has a row for each location that a transfer's goods were sent to or received at: sums, which are right once
// all events have arrived, in whatever order. What is on its way to a location follows from them (TransferLegs.Rest).
// Rows are only added to, in key order, and need no lock before.

// TransferKey identifies the goods of one item in a transfer.
type TransferKey struct{ Tenant, Transfer, Item string }

// TransferLeg is the quantity sent to a location, and the quantity received there; the times are the latest business
// times, zero where there is none.
type TransferLeg struct {
	Sent, Received     event.Decimal
	SentAt, ReceivedAt time.Time
}

// TransferLegs are the legs of one transfer's item, by location.
type TransferLegs map[string]TransferLeg

// Rest is the quantity still on its way to a location: sent there and not received there, and no more than the transfer
// as a whole has not received, since goods that arrived elsewhere are not on their way.
func (l TransferLegs) Rest(location string) event.Decimal {
	var whole event.Decimal
	for _, leg := range l {
		whole = whole.Add(leg.Sent).Sub(leg.Received)
	}
	rest := l[location].Sent.Sub(l[location].Received)
	if whole.LessThan(rest) {
		rest = whole
	}
	if rest.IsNegative() {
		return event.Decimal{}
	}
	return rest
}

// Add adds a leg's quantities to those of a location.
func (l TransferLegs) Add(location string, leg TransferLeg) {
	sum := l[location]
	sum.Sent, sum.Received = sum.Sent.Add(leg.Sent), sum.Received.Add(leg.Received)
	sum.SentAt, sum.ReceivedAt = later(sum.SentAt, leg.SentAt), later(sum.ReceivedAt, leg.ReceivedAt)
	l[location] = sum
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func compareTransferKeys(a, b TransferKey) int {
	return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Transfer, b.Transfer), strings.Compare(a.Item, b.Item))
}

var transferLegs = pg.SQL(`
SELECT k.ord, t.location_id, t.sent, t.received
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k(tenant_id, transfer_id, item_id, ord)
JOIN transfer t USING (tenant_id, transfer_id, item_id)`)

// ReadTransfers adds the quantities of the transfers that are known to the legs given, whose keys say which to read.
func ReadTransfers(ctx context.Context, tx store.Tx, transfers map[TransferKey]TransferLegs) error {
	keys := slices.SortedFunc(maps.Keys(transfers), compareTransferKeys)
	columns := pg.NewColumns(3, len(keys))
	for _, k := range keys {
		columns.Add(k.Tenant, k.Transfer, k.Item)
	}
	return pg.Each(ctx, tx, fmt.Sprintf("reading %d transfers", len(keys)), transferLegs, func(row *sql.Rows) error {
		var ord int
		var location string
		var leg TransferLeg
		err := row.Scan(&ord, &location, &leg.Sent, &leg.Received)
		transfers[keys[ord-1]].Add(location, leg)
		return err
	}, columns...)
}

// In key order, so that two of these cannot deadlock.
var noteTransfers = pg.SQL(`
INSERT INTO transfer AS t (tenant_id, transfer_id, item_id, location_id, sent, received, sent_at, received_at)
SELECT tenant_id, transfer_id, item_id, location_id, sent, received, nullif(sent_at, '0001-01-01 00:00:00Z'), nullif(received_at, '0001-01-01 00:00:00Z')
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::numeric[], $7::timestamptz[], $8::timestamptz[]) WITH ORDINALITY
     AS n(tenant_id, transfer_id, item_id, location_id, sent, received, sent_at, received_at, ord)
ORDER BY n.ord
ON CONFLICT (tenant_id, transfer_id, item_id, location_id) DO UPDATE
SET sent = t.sent + excluded.sent, received = t.received + excluded.received,
    sent_at = greatest(t.sent_at, excluded.sent_at), received_at = greatest(t.received_at, excluded.received_at)`)

// NoteTransfers adds what was sent and received to what is known.
func NoteTransfers(ctx context.Context, tx store.Tx, news map[TransferKey]TransferLegs) error {
	if len(news) == 0 {
		return nil
	}
	columns := pg.NewColumns(8, len(news))
	for _, k := range slices.SortedFunc(maps.Keys(news), compareTransferKeys) {
		for _, location := range slices.Sorted(maps.Keys(news[k])) {
			leg := news[k][location]
			columns.Add(k.Tenant, k.Transfer, k.Item, location, leg.Sent, leg.Received, leg.SentAt, leg.ReceivedAt)
		}
	}
	return pg.Write(ctx, tx, fmt.Sprintf("noting %d transfers", len(news)), noteTransfers, columns...)
}

// InTransitSQL is the quantity on its way to a position, which the row named has the columns of: TransferLegs.Rest of
// all its transfers.
func InTransitSQL(of string) string {
	return `coalesce((
    SELECT sum(greatest(0, least(t.sent - t.received, (
        SELECT sum(o.sent - o.received) FROM transfer o
        WHERE o.tenant_id = t.tenant_id AND o.transfer_id = t.transfer_id AND o.item_id = t.item_id))))
    FROM transfer t
    WHERE t.tenant_id = ` + of + `.tenant_id AND t.item_id = ` + of + `.item_id AND t.location_id = ` + of + `.location_id AND t.sent <> t.received AND t.sent > t.received), 0)`
}
