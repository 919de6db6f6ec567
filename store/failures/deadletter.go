package failures

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # The dead-letter log
//
// dead_letter has a row for every message that reached composerp.dead: what it was, why it died, and its disposition.
// The messages themselves are in their queues; a process that takes one out records that here first. So a row says:
//
//   - pending: the message is in its dead-letter queue, as far as is known. A move in the management UI is not
//     reported; the next walk through the queue finds the message missing (missed_at).
//   - redriven_at, discarded_at: it was about to leave the queue. A crash just then leaves it there; the next walk
//     finds it and makes it pending again.
//
// A message that dies again has another row: its id includes the time of death.

// DeadLetter is a message in a dead-letter queue, as the log keeps it.
type DeadLetter struct {
	ID         uuid.UUID     `db:"id"`
	Consumer   string        `db:"consumer"`
	EventID    uuid.NullUUID `db:"event_id"`
	MessageID  string        `db:"message_id"`
	Type       string        `db:"type"`
	RoutingKey string        `db:"routing_key"`
	Error      string        `db:"error"`
	Attempt    int           `db:"attempt"`
	Headers    []byte        `db:"headers"` // a JSON object
	Body       []byte        `db:"body"`
	DiedAt     time.Time     `db:"died_at"`
	// Policy is what the policies of its queue set when one of them made it a dead letter: "" where none did, or where
	// it is not known. To record it, ByPolicy says that one did.
	Policy   string `db:"policy"`
	ByPolicy bool   `db:"by_policy"`

	// The fields below are set by the log and ignored when recording.
	Tenant      string       `db:"tenant_id"`
	Aggregate   string       `db:"aggregate_id"`
	Fingerprint string       `db:"fingerprint"` // of the error
	Quarantine  string       `db:"quarantine"`  // the class it was held back with, if any
	RecordedAt  time.Time    `db:"recorded_at"`
	Redrives    int          `db:"redrives"` // how often this row was redriven
	RedrivenAt  sql.NullTime `db:"redriven_at"`
	DiscardedAt sql.NullTime `db:"discarded_at"`
	MissedAt    sql.NullTime `db:"missed_at"`
}

const deadLetterColumns = `d.id, d.consumer, d.event_id, d.message_id, d.type, d.routing_key, d.error, d.attempt, d.headers, d.body, d.died_at,
       coalesce(d.policy, '') AS policy, d.policy IS NOT NULL AS by_policy, d.tenant_id, d.aggregate_id, d.fingerprint, d.quarantine, d.recorded_at, d.redrives, d.redriven_at, d.discarded_at, d.missed_at`

// StillDeadSQL selects the letters that settle their event's pending delivery: not redriven, and not found missing
// from their queue. A discarded letter stays dead.
const StillDeadSQL = `d.redriven_at IS NULL AND d.missed_at IS NULL`

// The policy is the one in force at the letter's time; the broker's clock has whole seconds and may be another's.
var recordDeadLetters = pg.SQL(`
INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at, fingerprint, policy)
SELECT l.id, l.consumer, l.event_id, l.message_id, l.type, l.routing_key, l.error, l.attempt, l.headers, l.body, l.died_at, l.fingerprint,
       CASE WHEN l.by_policy THEN coalesce((
           SELECT p.policy FROM queue_policy p
           WHERE p.consumer = l.consumer AND coalesce(p.until, 'infinity') >= l.died_at - interval '10 s'
           ORDER BY p.since <= l.died_at + interval '1 s' DESC, p.since DESC LIMIT 1), '') END
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[],
            $9::jsonb[], $10::bytea[], $11::timestamptz[], $12::text[], $13::boolean[])
    AS l (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at, fingerprint, by_policy)
ON CONFLICT DO NOTHING`)

// storable makes any text fit a column: valid UTF-8 without a zero byte. AMQP guarantees neither, and the log must
// take every dead letter.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// shortened cuts a text to at most this many bytes, between two characters.
func shortened(s string, bytes int) string {
	if len(s) <= bytes {
		return s
	}
	return strings.ToValidUTF8(s[:bytes], "")
}

// storableJSON is storable for jsonb, which also refuses an escaped zero byte.
func storableJSON(document []byte) string {
	if len(document) == 0 {
		return "{}"
	}
	return strings.ReplaceAll(storable(string(document)), `\u0000`, `\ufffd`)
}

// RecordDeadLetters adds the letters that are not in the log yet, by ID. Texts that no column can hold are cleaned;
// the body is kept byte for byte.
func RecordDeadLetters(ctx context.Context, tx store.Tx, letters []DeadLetter) error {
	columns := pg.NewColumns(13, len(letters))
	for i := range letters {
		l := &letters[i]
		text := storable(l.Error)
		columns.Add(l.ID, storable(l.Consumer), l.EventID, storable(l.MessageID), storable(l.Type), storable(l.RoutingKey), text, l.Attempt,
			storableJSON(l.Headers), l.Body, l.DiedAt, Fingerprint(text), l.ByPolicy)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("recording %d dead letters", len(letters)), recordDeadLetters, columns...)
}
