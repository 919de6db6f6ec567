package replay

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/internal/pg"
)

// Copy is an event that a replay has its worker handle again.
type Copy struct {
	EventID uuid.UUID
	Seq     int64 // of the log
	Replay  int64
}

func columnsOf(copies []Copy) []any {
	c := pg.NewColumns(3, len(copies))
	for _, one := range copies {
		c.Add(one.EventID, one.Seq, one.Replay)
	}
	return c
}

var claimAgain = pg.SQL(`
INSERT INTO handled_again AS h (consumer, event_id, replay, txs)
SELECT $1, m.event_id, max(m.replay), ARRAY[pg_current_xact_id()]
FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS m(event_id, seq, replay) GROUP BY m.event_id ORDER BY m.event_id
ON CONFLICT (consumer, event_id) DO UPDATE SET replay = excluded.replay, txs = h.txs || excluded.txs WHERE h.replay < excluded.replay
RETURNING event_id`)

// Claim enters events as handled again, and returns those that no replay since has had handled: this
// transaction, and no
// other, handles them for it. The events must be in the inbox, or claimed there before in this transaction.
func Claim(ctx context.Context, tx store.Tx, consumer inbox.ConsumerID, copies []Copy) (map[uuid.UUID]bool, error) {
	claimed := make(map[uuid.UUID]bool, len(copies))
	err := pg.Each(ctx, tx, fmt.Sprintf("claiming %d events again", len(copies)), claimAgain, func(row *sql.Rows) error {
		var id uuid.UUID
		err := row.Scan(&id)
		claimed[id] = true
		return err
	}, append([]any{int(consumer)}, columnsOf(copies)...)...)
	return claimed, err
}

// What the transactions that handled the events before have appended, by the log's index on transactions.
var emittedBy = pg.SQL(`
SELECT DISTINCT e.event_id FROM event_log e
WHERE e.tx = ANY (ARRAY(
          SELECT ((age << 32) + i.xmin::text::bigint)::text::xid8
          FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS m(event_id, seq, replay)
          JOIN inbox i ON i.generation = ANY (` + eventlog.KeptGenerationsSQL + `) AND i.consumer = $1 AND i.event_id = m.event_id
          CROSS JOIN generate_series(0, pg_current_xact_id()::text::bigint >> 32) AS age
          UNION ALL
          SELECT unnest(h.txs) FROM unnest($2::uuid[]) AS m(event_id) JOIN handled_again h ON h.consumer = $1 AND h.event_id = m.event_id))
  AND e.event_id = ANY ($5::uuid[])`)

// The first of the events whose inbox row may be gone, or be of another server.
var firstUnproven = pg.SQL(`
SELECT min(m.seq) FROM unnest($1::bigint[]) AS m(seq)
WHERE m.seq <= greatest(
    (SELECT CASE WHEN g.generation > 1 THEN coalesce((SELECT t.max_seq FROM tick t WHERE t.made_at >= g.opened_at ORDER BY t.id LIMIT 1), 9223372036854775807) ELSE 0 END
     FROM inbox_generation g ORDER BY g.generation LIMIT 1),
    coalesce((SELECT t.seq_before FROM epoch s JOIN tick t ON t.id = s.first_tick WHERE s.epoch > 1 ORDER BY s.epoch DESC LIMIT 1), 0))`)

var emittedSince = pg.SQL(`SELECT DISTINCT event_id FROM event_log WHERE seq > $1 AND event_id = ANY ($2::uuid[])`)

// Emitted returns which of the emitted events are in the log already, because the consumer has handled their causes
// before. All that the transaction emits for these causes must be among ids.
func Emitted(ctx context.Context, tx store.Tx, consumer inbox.ConsumerID, causes []Copy, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	known := make(map[uuid.UUID]bool, len(ids))
	note := func(row *sql.Rows) error {
		var id uuid.UUID
		err := row.Scan(&id)
		known[id] = true
		return err
	}
	doing := fmt.Sprintf("looking for %d emitted events in the log", len(ids))
	args := append([]any{int(consumer)}, columnsOf(causes)...)
	if err := pg.Each(ctx, tx, doing, emittedBy, note, append(args, pg.UUIDs(ids))...); err != nil || len(known) == len(ids) {
		return known, err
	}
	seqs := pg.NewColumns(1, len(causes))
	for _, c := range causes {
		seqs.Add(c.Seq)
	}
	first, err := pg.One[sql.NullInt64](ctx, tx, doing, firstUnproven, seqs...)
	if err != nil || !first.Valid {
		return known, err
	}
	return known, pg.Each(ctx, tx, doing, emittedSince, note, first.Int64, pg.UUIDs(ids))
}

var unproven = pg.SQL(`
SELECT h.max_seq FROM (
    SELECT t.id, t.max_seq FROM inbox_generation g JOIN LATERAL (
        SELECT t.id, t.max_seq FROM tick t WHERE t.made_at >= g.opened_at ORDER BY t.id LIMIT 1) t ON true
    WHERE g.generation > 1 AND g.generation = (SELECT min(generation) FROM inbox_generation)) h
WHERE EXISTS (SELECT FROM subscription s JOIN consumer c ON c.id = s.consumer WHERE c.name = $1 AND s.from_tick < h.id)`)

// Unproven is the position up to which the consumer may have handled events in a generation of the inbox that was
// dropped; 0 where the inbox knows all that it has handled.
func Unproven(ctx context.Context, db *store.DB, consumer string) (int64, error) {
	found, err := pg.List[int64](ctx, db, fmt.Sprintf("reading how far back the inbox of %s reaches", consumer), unproven, consumer)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	return found[0], nil
}
