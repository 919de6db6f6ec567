package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Business time
//
// An event's business time moves calendars: days close, lots expire, forecasts begin. One event of a till whose clock
// is wrong would move them by years. So an event from outside is admitted only if its business time is within the
// bounds of its tenant, by the database's clock: not more than 36 hours ahead, and as far behind as it likes, unless
// tenant_setting says otherwise. A worker holds what it gets straight over AMQP to the same bounds (CheckTimes).
// Derived events have their cause's time. What is in the log already is not judged again.

// timely is whether e.occurred_at is within the bounds of the settings s, which may be missing.
const timely = `(e.occurred_at <= clock_timestamp() + make_interval(hours => coalesce(s.max_ahead_hours, 36))
     AND (coalesce(s.max_behind_days, 0) = 0 OR e.occurred_at >= clock_timestamp() - make_interval(days => s.max_behind_days)))`

// ErrBusinessTime is the error of an event whose business time is out of its tenant's bounds.
var ErrBusinessTime = errors.New("the business time is out of bounds")

// TimeError is the ErrBusinessTime of an event, with what to do.
func TimeError(e event.Any) error {
	return fmt.Errorf("%w: %s is further from the clock than tenant %s allows (composerp tenant list shows maxAheadHours and maxBehindDays, 36 and 0 by default): correct the clock of %q and publish it again with the right timestamp, or widen the bounds",
		ErrBusinessTime, e.Timestamp.Format(time.RFC3339), e.TenantID, e.Metadata.Source)
}

var untimely = pg.SQL(`
SELECT e.ord FROM unnest($1::timestamptz[], $2::text[]) WITH ORDINALITY AS e(occurred_at, tenant_id, ord)
LEFT JOIN tenant_setting s USING (tenant_id)
WHERE NOT ` + timely + ` ORDER BY e.ord LIMIT 1`)

// CheckTimes returns the TimeError of the first of the events that is not in the log (Any.LogSeq) and out of bounds.
func CheckTimes(ctx context.Context, tx store.Tx, events []event.Any) error {
	var from []event.Any
	times := pg.NewColumns(2, len(events))
	for _, e := range events {
		if e.LogSeq == 0 {
			from = append(from, e)
			times.Add(e.Timestamp, e.TenantID)
		}
	}
	if len(from) == 0 {
		return nil
	}
	out, err := pg.List[int](ctx, tx, fmt.Sprintf("checking the business time of %d events", len(from)), untimely, times...)
	if err != nil || len(out) == 0 {
		return err
	}
	return TimeError(from[out[0]-1])
}
