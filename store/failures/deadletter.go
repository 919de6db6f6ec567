package failures

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # The journal of dead letters
//
// dead_letter has a row for every message that reached composerp.dead: what it
// was, why it died, and what became of it. People look at the journal; the
// messages themselves lie in their queues, and whoever takes one out writes that
// down here first. So a row says:
//
//   - lies: the message is in its queue of dead letters, as far as is known. Who
//     moves it in the management UI tells nobody; the next walk through the queue
//     finds that it is not there (missed_at).
//   - redriven_at, discarded_at: it was about to leave the queue. A crash just
//     then leaves it there; the next walk finds it and says that it lies.
//
// A letter that dies again is another row: its id is made of the time too.

// DeadLetter is a message in a dead-letter queue, as the journal keeps it.
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

	// What follows is the journal's to know, and not to be recorded.
	Tenant      string       `db:"tenant_id"`
	Aggregate   string       `db:"aggregate_id"`
	Fingerprint string       `db:"fingerprint"` // of the error
	Quarantine  string       `db:"quarantine"`  // the class it was set aside with, if any
	RecordedAt  time.Time    `db:"recorded_at"`
	Redrives    int          `db:"redrives"` // how often this very letter was put back
	RedrivenAt  sql.NullTime `db:"redriven_at"`
	DiscardedAt sql.NullTime `db:"discarded_at"`
	MissedAt    sql.NullTime `db:"missed_at"`
}

const deadLetterColumns = `d.id, d.consumer, d.event_id, d.message_id, d.type, d.routing_key, d.error, d.attempt, d.headers, d.body, d.died_at,
       d.tenant_id, d.aggregate_id, d.fingerprint, d.quarantine, d.recorded_at, d.redrives, d.redriven_at, d.discarded_at, d.missed_at`

// stillDead are the letters that make a consumer owe their event no more: nobody has put them back, and none was found to have left its
// queue by another hand, or with the queue itself. What was discarded stays dead.
const StillDeadSQL = `d.redriven_at IS NULL AND d.missed_at IS NULL`

var recordDeadLetters = pg.SQL(`
INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at, fingerprint)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[],
                     $9::jsonb[], $10::bytea[], $11::timestamptz[], $12::text[])
ON CONFLICT DO NOTHING`)

// storable makes the text of a stranger's message fit a column: valid UTF-8
// without a zero byte. AMQP promises neither, and the journal must take whatever
// has died.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// shortened cuts a text to at most so many bytes, between two characters.
func shortened(s string, bytes int) string {
	if len(s) <= bytes {
		return s
	}
	return strings.ToValidUTF8(s[:bytes], "")
}

// storableJSON is storable for jsonb, which refuses the zero byte escaped too.
func storableJSON(document []byte) string {
	if len(document) == 0 {
		return "{}"
	}
	return strings.ReplaceAll(storable(string(document)), `\u0000`, `\ufffd`)
}

// RecordDeadLetters adds to the journal those that are not in it yet, by ID.
// Texts that no column can hold are kept as far as they can be; the body is kept
// byte for byte.
func RecordDeadLetters(ctx context.Context, tx store.Tx, letters []DeadLetter) error {
	n := len(letters)
	ids, consumers, messages := make(pq.StringArray, n), make(pq.StringArray, n), make(pq.StringArray, n)
	types, keys, errs := make(pq.StringArray, n), make(pq.StringArray, n), make(pq.StringArray, n)
	attempts, headers, bodies, died := make(pq.Int64Array, n), make(pq.StringArray, n), make(pq.ByteaArray, n), make(pq.StringArray, n)
	events, prints := make([]sql.NullString, n), make(pq.StringArray, n)
	for i, l := range letters {
		ids[i], consumers[i], messages[i] = l.ID.String(), storable(l.Consumer), storable(l.MessageID)
		types[i], keys[i], errs[i] = storable(l.Type), storable(l.RoutingKey), storable(l.Error)
		attempts[i], headers[i], bodies[i] = int64(l.Attempt), storableJSON(l.Headers), l.Body
		died[i] = l.DiedAt.UTC().Format(time.RFC3339Nano)
		events[i] = sql.NullString{String: l.EventID.UUID.String(), Valid: l.EventID.Valid}
		prints[i] = Fingerprint(errs[i])
	}
	_, err := pg.Exec(ctx, tx, recordDeadLetters, ids, consumers, pq.GenericArray{A: events}, messages, types, keys, errs, attempts, headers, bodies, died, prints)
	if err != nil {
		return fmt.Errorf("recording %d dead letters: %w", n, err)
	}
	return nil
}

var deadLetters = pg.SQL(`
SELECT ` + deadLetterColumns + ` FROM dead_letter d ORDER BY d.died_at DESC, d.id LIMIT $1`)

// DeadLetters gives the newest entries of the journal.
func DeadLetters(ctx context.Context, db *store.DB, limit int) ([]DeadLetter, error) {
	var list []DeadLetter
	if err := pg.Select(ctx, db, &list, deadLetters, limit); err != nil {
		return nil, fmt.Errorf("reading the journal of dead letters: %w", err)
	}
	return list, nil
}
