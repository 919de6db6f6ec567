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

// # Notices
//
// What was said to people: one row an event and channel, which tells whether it
// arrived. It is what keeps a channel that has heard of an event from hearing of
// it again while another one is still being tried.

// Notice is an event as it was said to a channel. Channel is webhook,
// alertmanager, or log where nobody else is known; About names what it is about
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
	Delivered  bool      `db:"told" json:"told"`
	Attempts   int       `db:"attempts" json:"attempts"`
	Answer     string    `db:"answer" json:"answer"`
	SaidAt     time.Time `db:"said_at" json:"saidAt"`
}

// What has arrived stays as it is: of two slots that said it, the first to record.
var recordNotifications = pg.SQL(`
INSERT INTO notice AS n (event_id, channel, tenant_id, type, about, summary, occurred_at, told, answer)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[], $9::text[])
ON CONFLICT (event_id, channel) DO UPDATE
SET told = excluded.told, answer = excluded.answer, attempts = n.attempts + 1, said_at = clock_timestamp()
WHERE NOT n.told`)

// KeepNotices writes notices, at most one an event and channel, in key order.
func Record(ctx context.Context, tx store.Tx, notices []Notification) error {
	sorted := slices.SortedFunc(slices.Values(notices), func(a, b Notification) int {
		if c := slices.Compare(a.EventID[:], b.EventID[:]); c != 0 {
			return c
		}
		return strings.Compare(a.Channel, b.Channel)
	})
	n := len(sorted)
	events, times, told := pg.NewColumn(n, 36), pg.NewColumn(n, 28), pg.NewColumn(n, 5)
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
		told.Boolean(s.Delivered)
		answers.Add(s.Answer)
	}
	if _, err := pg.Exec(ctx, tx, recordNotifications, events, channels, tenants, types, about, summaries, times, told, answers); err != nil {
		return fmt.Errorf("keeping %d notices: %w", n, err)
	}
	return nil
}

var deliveredChannels = pg.SQL(`SELECT channel FROM notice WHERE event_id = $1 AND told`)

// TellWhom gives those of the channels that have not heard of the event yet.
func PendingChannels(ctx context.Context, tx store.Tx, event uuid.UUID, channels []string) ([]string, error) {
	var told []string
	if err := pg.Select(ctx, tx, &told, deliveredChannels, event); err != nil {
		return nil, fmt.Errorf("asking who has heard of %s: %w", event, err)
	}
	return slices.DeleteFunc(slices.Clone(channels), func(c string) bool { return slices.Contains(told, c) }), nil
}

var listNotifications = pg.SQL(`
SELECT id, event_id, tenant_id, type, about, summary, occurred_at, channel, told, attempts, answer, said_at
FROM notice WHERE ($1 = '' OR tenant_id = $1) AND (NOT $2::boolean OR NOT told) ORDER BY id DESC LIMIT nullif($3::bigint, 0)`)

// Notices lists the newest notices first, at most limit of them, 0 for all; an
// empty tenant means every one. With untold only those are given that have not arrived.
func List(ctx context.Context, db *store.DB, tenant string, untold bool, limit int) ([]Notification, error) {
	rows := []Notification{}
	if err := pg.Select(ctx, db, &rows, listNotifications, tenant, untold, limit); err != nil {
		return nil, fmt.Errorf("reading the notices: %w", err)
	}
	return rows, nil
}
