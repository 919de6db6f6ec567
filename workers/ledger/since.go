package ledger

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/masterdata"
)

// lossOf is the counterpart of a position's counts.
func lossOf(k masterdata.PositionKey) masterdata.PositionKey {
	k.Location = ledger.Loss
	return k
}

// readSince reads what is in the database after the time of each count, and of what
// is dated before a count: one that is booked, or one of this batch. It locks what
// corrections need, after and not among the other positions: two batches that do so
// may deadlock, and PostgreSQL then breaks one off, which is tried again.
func (b *book) readSince(ctx context.Context, transfers []transfer) error {
	latest := map[masterdata.PositionKey]time.Time{}
	for _, t := range transfers {
		if counted := b.positions[t.at].CountedAt; counted != nil {
			latest[t.at] = *counted
		}
	}
	for _, t := range transfers {
		if t.counted && t.cause.Timestamp.After(latest[t.at]) {
			latest[t.at] = t.cause.Timestamp
		}
	}
	var indexes []int
	var moments []ledger.Moment
	var losses []masterdata.PositionKey
	for i, t := range transfers {
		late := t.cause.Timestamp.Before(latest[t.at])
		if late && b.positions[lossOf(t.at)] == nil {
			losses = append(losses, lossOf(t.at))
		}
		if late || t.counted {
			indexes, moments = append(indexes, i), append(moments, ledger.Moment{Position: b.positions[t.at].ID, At: t.cause.Timestamp})
		}
	}
	if len(moments) == 0 {
		return nil
	}
	locked, err := ledger.LockPositions(ctx, b.tx, losses, nil)
	if err != nil {
		return err
	}
	for k, p := range locked {
		b.positions[k] = p
	}
	since, err := ledger.MovementsSince(ctx, b.tx, moments)
	if err != nil {
		return err
	}
	b.since = make(map[int]ledger.Since, len(since))
	for n, i := range indexes {
		b.since[i] = since[n]
	}
	return nil
}

// after is what is after the time of a transfer: in the database, and in this batch.
func (b *book) after(i int, t transfer, at *ledger.Position) ledger.Since {
	after, asked := b.since[i]
	if !asked {
		return ledger.Since{}
	}
	for _, m := range b.movements {
		if m.Position != at.ID || !m.OccurredAt.After(t.cause.Timestamp) {
			continue
		}
		after.Quantity = after.Quantity.Add(m.Quantity)
		if m.Type == event.TransactionCount && (after.NextCount.IsZero() || m.OccurredAt.Before(after.NextCount)) {
			after.NextCount = m.OccurredAt
		}
	}
	return after
}
