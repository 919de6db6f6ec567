package shadow

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// Batch is what a live worker handled in one transaction.
type Batch struct {
	Consumer string
	// Events are in the order of the log.
	Events []event.Any
	// Emitted is what the transaction appended to the log as this worker's.
	Emitted []event.Any

	tx    int64
	place int64 // in the log, of the first event that it emitted; 0: none
}

// fullXID is the whole number of the transaction that made a row: the row has its lower half. cur is a number of now.
const fullXID = `cur - ((cur - (%s.xmin::text)::bigint) & 4294967295)`

const curSQL = `(SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS cur) s`

// The age sorts out rows of older transactions before anything is computed.
var handledSince = pg.SQL(`
SELECT h.tx, h.name, h.event_id
FROM (
    SELECT ` + fmt.Sprintf(fullXID, "i") + ` AS tx, c.name, i.event_id
    FROM inbox i JOIN consumer c ON c.id = i.consumer, ` + curSQL + `
    WHERE i.generation = ANY (` + eventlog.KeptGenerationsSQL + `) AND c.name = ANY ($1::text[])
      AND age(i.xmin) <= age(pg_snapshot_xmin($2::pg_snapshot)::xid)) h
WHERE NOT pg_visible_in_snapshot(h.tx::text::xid8, $2::pg_snapshot)`)

// By the index on (tx, seq).
var appendedBy = pg.SQL(`
SELECT tx::text::bigint, seq, body FROM event_log WHERE tx = ANY ($1::text[]::xid8[]) ORDER BY seq`)

// Handled reads the window's batches of some workers, by the names that they have in the inbox.
func (w *Window) Handled(ctx context.Context, consumers []string) ([]Batch, error) {
	batches, of := map[int64]*Batch{}, map[uuid.UUID][]*Batch{}
	var ids []uuid.UUID
	err := pg.Each(ctx, w.tx, "reading what was handled", handledSince, func(row *sql.Rows) error {
		var tx int64
		var name string
		var id uuid.UUID
		if err := row.Scan(&tx, &name, &id); err != nil {
			return err
		}
		if batches[tx] == nil {
			batches[tx] = &Batch{Consumer: name, tx: tx}
		}
		of[id] = append(of[id], batches[tx])
		ids = append(ids, id)
		return nil
	}, pq.StringArray(consumers), w.s.since)
	if err != nil {
		return nil, err
	}
	if err := w.readEvents(ctx, ids, of); err != nil {
		return nil, err
	}
	if err := w.readEmitted(ctx, batches); err != nil {
		return nil, err
	}
	return ordered(batches), nil
}

var countBetween = pg.SQL(`
SELECT count(*) FROM (
    SELECT ` + fmt.Sprintf(fullXID, "i") + ` AS tx
    FROM inbox i JOIN consumer c ON c.id = i.consumer, ` + curSQL + `
    WHERE i.generation = ANY (` + eventlog.KeptGenerationsSQL + `) AND c.name = $1
      AND age(i.xmin) <= age(pg_snapshot_xmin($2::pg_snapshot)::xid)) h
WHERE NOT pg_visible_in_snapshot(h.tx::text::xid8, $2::pg_snapshot) AND pg_visible_in_snapshot(h.tx::text::xid8, $3::pg_snapshot)`)

// LeftOut is how many events the worker handled after the last window that was compared, and before this one's copies.
func (w *Window) LeftOut(ctx context.Context, consumer string) (int64, error) {
	if w.s.until == "" {
		return 0, nil
	}
	return pg.One[int64](ctx, w.tx, "counting what was handled between two windows", countBetween, consumer, w.s.until, w.s.since)
}

var loggedEvents = pg.SQL(`
SELECT e.seq, e.body FROM event_log e JOIN unnest($2::uuid[]) AS n(event_id) USING (event_id) WHERE e.seq > $1 AND e.seq <= $3 ORDER BY e.seq`)

var lastPosition = pg.SQL(`SELECT coalesce(max(seq), 0) FROM event_log`)

// firstStep is how much of the log's end is read at first: most events are handled soon.
const firstStep = 20_000

// readEvents reads events from the end of the log backwards, in growing steps, until all are found.
func (w *Window) readEvents(ctx context.Context, ids []uuid.UUID, of map[uuid.UUID][]*Batch) error {
	last, err := pg.One[int64](ctx, w.tx, "reading the end of the log", lastPosition)
	missing := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		missing[id] = true
	}
	for step := int64(firstStep); err == nil && len(missing) > 0 && last > 0; step *= 4 {
		asked := make([]uuid.UUID, 0, len(missing))
		for id := range missing {
			asked = append(asked, id)
		}
		err = pg.Each(ctx, w.tx, "reading the events that were handled", loggedEvents, func(row *sql.Rows) error {
			e, err := scanEvent(row)
			if err != nil {
				return err
			}
			delete(missing, e.ID)
			for _, b := range of[e.ID] {
				b.Events = append(b.Events, e)
			}
			return nil
		}, max(0, last-step), pg.UUIDs(asked), last)
		last -= step
	}
	for _, batches := range of {
		for _, b := range batches {
			slices.SortFunc(b.Events, func(a, c event.Any) int { return cmp.Compare(a.LogSeq, c.LogSeq) })
		}
	}
	return err
}

func scanEvent(row *sql.Rows, more ...any) (event.Any, error) {
	var seq int64
	var body []byte
	if err := row.Scan(append(more, &seq, &body)...); err != nil {
		return event.Any{}, err
	}
	e, err := event.Decode(body)
	if err != nil {
		return e, fmt.Errorf("reading the event at log position %d: %w", seq, err)
	}
	e.LogSeq = seq
	return e, nil
}

// readEmitted reads what the batches' transactions have appended. A transaction also logs the events that came to it
// straight over AMQP: those have another source.
func (w *Window) readEmitted(ctx context.Context, batches map[int64]*Batch) error {
	w.txs = w.txs[:0]
	for tx := range batches {
		w.txs = append(w.txs, strconv.FormatInt(tx, 10))
	}
	return pg.Each(ctx, w.tx, "reading what was emitted", appendedBy, func(row *sql.Rows) error {
		var tx int64
		e, err := scanEvent(row, &tx)
		if err != nil {
			return err
		}
		b := batches[tx]
		if e.Metadata.Source != b.Consumer || e.Metadata.CausationID == "" {
			return nil
		}
		b.place = cmp.Or(b.place, e.LogSeq)
		b.Emitted = append(b.Emitted, e)
		return nil
	}, pq.StringArray(w.txs))
}

// ordered sorts batches: see the package's invariants. A batch that emitted nothing comes behind those with a lower
// number that emitted.
func ordered(batches map[int64]*Batch) []Batch {
	all := make([]Batch, 0, len(batches))
	for _, b := range batches {
		all = append(all, *b)
	}
	slices.SortFunc(all, func(a, b Batch) int { return cmp.Compare(a.tx, b.tx) })
	place := int64(0)
	for i := range all {
		if all[i].place == 0 {
			all[i].place = place
		}
		place = max(place, all[i].place)
	}
	slices.SortStableFunc(all, func(a, b Batch) int { return cmp.Compare(a.place, b.place) })
	return all
}
