package eventlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Business time
//
// An event's business time moves calendars: days close, lots expire, forecasts begin, counts settle stock. One event
// of a till whose clock is wrong would move them by years. So an event from outside is admitted only if its business
// time is within bounds by the database's clock: those of its source (source_setting), else of its tenant
// (tenant_setting), else not more than 36 hours ahead and as far behind as it likes.
//
// Derived events have their cause's time. A worker still holds what comes from the log to the bound ahead (Bounds), as
// another version may have admitted it: such an event is set apart as a dead letter before it moves anything.

// boundsOf joins the settings of the events e.
const boundsOf = `LEFT JOIN tenant_setting s USING (tenant_id) LEFT JOIN source_setting b USING (tenant_id, source)`

// inTime and notTooOld are whether e.occurred_at is within the bounds of boundsOf.
const (
	inTime    = `e.occurred_at <= clock_timestamp() + make_interval(hours => coalesce(b.max_ahead_hours, s.max_ahead_hours, 36))`
	notTooOld = `(coalesce(b.max_behind_days, s.max_behind_days, 0) = 0
     OR e.occurred_at >= clock_timestamp() - make_interval(days => coalesce(b.max_behind_days, s.max_behind_days)))`
)

// ErrBusinessTime is the error of an event whose business time is out of its bounds.
var ErrBusinessTime = errors.New("the business time is out of bounds")

// TimeError is the ErrBusinessTime of an event, with what to do.
func TimeError(e event.Any) error {
	return fmt.Errorf("%w: %s is further from the clock than tenant %s allows (composerp tenant list and source list show maxAheadHours and maxBehindDays, 36 and 0 by default): correct the clock of %q and publish it again with the right timestamp, redrive it with --timestamp, or widen the bounds",
		ErrBusinessTime, e.Timestamp.Format(time.RFC3339), e.TenantID, e.Metadata.Source)
}

// Bounds holds events of the log to the bound ahead of business time. It keeps the database's clock, going on by the
// process's monotonic one, so that only an event ahead of that costs a round trip. The zero value works.
type Bounds struct {
	mu   sync.Mutex
	now  time.Time // by the database
	read time.Time // when it was read
}

var tooFarAhead = pg.SQL(`
SELECT clock_timestamp() AS now, (
    SELECT e.ord FROM unnest($1::timestamptz[], $2::text[], $3::text[]) WITH ORDINALITY AS e(occurred_at, tenant_id, source, ord)
    ` + boundsOf + ` WHERE NOT ` + inTime + ` ORDER BY e.ord LIMIT 1) AS ord`)

// Check returns the TimeError of the first event that is too far ahead.
func (b *Bounds) Check(ctx context.Context, tx store.Tx, events []event.Any) error {
	if !b.MayBeAhead(events) {
		return nil
	}
	times := pg.NewColumns(3, len(events))
	for i := range events {
		times.Add(events[i].Timestamp, events[i].TenantID, events[i].Metadata.Source)
	}
	found, err := pg.One[struct {
		Now time.Time
		Ord sql.NullInt64
	}](ctx, tx, fmt.Sprintf("checking the business time of %d events", len(events)), tooFarAhead, times...)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.now, b.read = found.Now, time.Now()
	b.mu.Unlock()
	if !found.Ord.Valid {
		return nil
	}
	return TimeError(events[found.Ord.Int64-1])
}

// MayBeAhead reports whether any event is ahead of the database's clock, as far as that is known.
func (b *Bounds) MayBeAhead(events []event.Any) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now.Add(time.Since(b.read))
	for i := range events {
		if b.read.IsZero() || events[i].Timestamp.After(now) {
			return true
		}
	}
	return false
}
