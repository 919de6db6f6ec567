// Package notifications records what was sent to people: one row an event and channel, with whether it was delivered.
//
// Invariants: a delivered notification never becomes undelivered, and while one channel is retried, a channel that has
// the event is not sent it again (PendingChannels). A crash between sending and recording sends the event twice.
package notifications

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Notification is an event as sent to one channel. Channel is webhook, alertmanager, or log when no other is
// configured; About names its subject ("order 4711", "cup at shop"). Attempts counts the attempts whose result is
// known. AttemptedAt, of the last of them, is by the database's clock.
type Notification struct {
	ID          int64     `db:"id" json:"id"`
	EventID     uuid.UUID `db:"event_id" json:"eventId"`
	Tenant      string    `db:"tenant_id" json:"tenantId"`
	Type        string    `db:"type" json:"eventType"`
	About       string    `db:"about" json:"about"`
	Summary     string    `db:"summary" json:"summary"`
	OccurredAt  time.Time `db:"occurred_at" json:"timestamp"`
	Channel     string    `db:"channel" json:"channel"`
	Delivered   bool      `db:"delivered" json:"delivered"`
	Attempts    int       `db:"attempts" json:"attempts"`
	Answer      string    `db:"answer" json:"answer"`
	AttemptedAt time.Time `db:"said_at" json:"saidAt"`
}

// A delivered notification stays as it is: of two slots that sent it, the first to record counts.
var recordNotifications = pg.SQL(`
INSERT INTO notification AS n (event_id, channel, tenant_id, type, about, summary, occurred_at, delivered, answer)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[], $9::text[])
ON CONFLICT (event_id, channel) DO UPDATE
SET delivered = excluded.delivered, answer = excluded.answer, attempts = n.attempts + 1, said_at = clock_timestamp()
WHERE NOT n.delivered`)

// Record writes notifications, at most one an event and channel, in key order.
func Record(ctx context.Context, tx store.Tx, list []Notification) error {
	sorted := slices.SortedFunc(slices.Values(list), func(a, b Notification) int {
		return cmp.Or(slices.Compare(a.EventID[:], b.EventID[:]), strings.Compare(a.Channel, b.Channel))
	})
	columns := pg.NewColumns(9, len(sorted))
	for i := range sorted {
		s := &sorted[i]
		columns.Add(s.EventID, s.Channel, s.Tenant, s.Type, s.About, s.Summary, s.OccurredAt, s.Delivered, s.Answer)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("recording %d notifications", len(sorted)), recordNotifications, columns...)
}

var deliveredChannels = pg.SQL(`SELECT channel FROM notification WHERE event_id = $1 AND delivered`)

// PendingChannels returns the channels that the event has not been delivered to.
func PendingChannels(ctx context.Context, tx store.Tx, event uuid.UUID, channels []string) ([]string, error) {
	delivered, err := pg.List[string](ctx, tx, fmt.Sprintf("reading the pending channels of event %s", event), deliveredChannels, event)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(channels), func(c string) bool { return slices.Contains(delivered, c) }), nil
}

var listNotifications = pg.SQL(`
SELECT id, event_id, tenant_id, type, about, summary, occurred_at, channel, delivered, attempts, answer, said_at
FROM notification WHERE ($1 = '' OR tenant_id = $1) AND (NOT $2::boolean OR NOT delivered) ORDER BY id DESC LIMIT nullif($3::bigint, 0)`)

// List returns at most limit notifications, the newest first, 0 for all; an empty tenant selects all. With undelivered
// it returns only undelivered ones.
func List(ctx context.Context, db *store.DB, tenant string, undelivered bool, limit int) ([]Notification, error) {
	return pg.List[Notification](ctx, db, "reading the notifications", listNotifications, tenant, undelivered, limit)
}
