package notifications

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Notifications
//
// One row an event and channel, with the channel's answer. A channel that has an
// event is not called again while another channel of the same event is tried.

// Notification is an event as it was sent to a channel. Channel is webhook,
// alertmanager, or log where no other is configured; About names its subject
// ("order 4711", "cup at shop"). Attempts counts the tries whose end is known.
// SaidAt, of the last of them, is by the database's clock.
type Notification struct {
	ID         int64     `db:"id" json:"id"`
	EventID    uuid.UUID `db:"event_id" json:"eventId"`
	Tenant     string    `db:"tenant_id" json:"tenantId"`
	Type       string    `db:"type" json:"eventType"`
	About      string    `db:"about" json:"about"`
	Summary    string    `db:"summary" json:"summary"`
	OccurredAt time.Time `db:"occurred_at" json:"timestamp"`
	Channel    string    `db:"channel" json:"channel"`
	Delivered  bool      `db:"delivered" json:"delivered"`
	Attempts   int       `db:"attempts" json:"attempts"`
	Answer     string    `db:"answer" json:"answer"`
	SaidAt     time.Time `db:"said_at" json:"saidAt"`
}

// A delivered row stays as it is: of two slots that delivered the event, the first to record wins.
var recordNotifications = pg.SQL(`
INSERT INTO notification AS n (event_id, channel, tenant_id, type, about, summary, occurred_at, delivered, answer)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[], $9::text[])
ON CONFLICT (event_id, channel) DO UPDATE
SET delivered = excluded.delivered, answer = excluded.answer, attempts = n.attempts + 1, said_at = clock_timestamp()
WHERE NOT n.delivered`)

// Record writes notifications, at most one an event and channel, in key order.
func Record(ctx context.Context, tx store.Tx, list []Notification) error {
	sorted := slices.SortedFunc(slices.Values(list), func(a, b Notification) int {
		if c := slices.Compare(a.EventID[:], b.EventID[:]); c != 0 {
			return c
		}
		return strings.Compare(a.Channel, b.Channel)
	})
	n := len(sorted)
	events, times, delivered := pg.NewColumn(n, 36), pg.NewColumn(n, 28), pg.NewColumn(n, 5)
	channels, tenants, types := pg.NewTexts(n, 8), pg.NewTexts(n, 16), pg.NewTexts(n, 24)
	about, summaries, answers := pg.NewTexts(n, 32), pg.NewTexts(n, 96), pg.NewTexts(n, 32)
	for i := range sorted {
		s := &sorted[i]
		events.UUID(s.EventID)
		channels.Add(s.Channel)
		tenants.Add(s.Tenant)
		types.Add(s.Type)
		about.Add(s.About)
		summaries.Add(s.Summary)
		times.Time(s.OccurredAt)
		delivered.Boolean(s.Delivered)
		answers.Add(s.Answer)
	}
	if _, err := pg.Exec(ctx, tx, recordNotifications, events, channels, tenants, types, about, summaries, times, delivered, answers); err != nil {
		return fmt.Errorf("recording %d notifications: %w", n, err)
	}
	return nil
}

var deliveredChannels = pg.SQL(`SELECT channel FROM notification WHERE event_id = $1 AND delivered`)

// PendingChannels gives those of the channels to which the event is not delivered yet.
func PendingChannels(ctx context.Context, tx store.Tx, event uuid.UUID, channels []string) ([]string, error) {
	var delivered []string
	if err := pg.Select(ctx, tx, &delivered, deliveredChannels, event); err != nil {
		return nil, fmt.Errorf("reading which channels have %s: %w", event, err)
	}
	return slices.DeleteFunc(slices.Clone(channels), func(c string) bool { return slices.Contains(delivered, c) }), nil
}

var listNotifications = pg.SQL(`
SELECT id, event_id, tenant_id, type, about, summary, occurred_at, channel, delivered, attempts, answer, said_at
FROM notification WHERE ($1 = '' OR tenant_id = $1) AND (NOT $2::boolean OR NOT delivered) ORDER BY id DESC LIMIT nullif($3::bigint, 0)`)

// List gives the newest notifications first, at most limit of them, 0 for all; an
// empty tenant means every one. With undelivered only those that have not arrived.
func List(ctx context.Context, db *store.DB, tenant string, undelivered bool, limit int) ([]Notification, error) {
	rows := []Notification{}
	if err := pg.Select(ctx, db, &rows, listNotifications, tenant, undelivered, limit); err != nil {
		return nil, fmt.Errorf("reading the notifications: %w", err)
	}
	return rows, nil
}
