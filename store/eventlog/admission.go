package eventlog

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Admission is the outcome for an event from outside that asks to enter the log.
type Admission int

const (
	// Admitted says that it has entered the log.
	Admitted Admission = iota
	// Duplicate says that the same event, byte for byte, was in the log already.
	Duplicate
	// Conflict says that the log holds another event with this id; this one is refused.
	Conflict
	// Untimely says that its business time is out of its tenant's bounds; it is refused (TimeError).
	Untimely
	// ForeignCurrency says that its currency is not its location's; it is refused (CurrencyError).
	ForeignCurrency
)

// String returns "admitted", "duplicate", "conflict", "untimely" or "foreign_currency".
func (a Admission) String() string {
	return [...]string{"admitted", "duplicate", "conflict", "untimely", "foreign_currency"}[a]
}

// Refusal is why an event is refused with the outcome Untimely or ForeignCurrency, and what to do; nil for the others.
func (a Admission) Refusal(e event.Any) error {
	switch a {
	case Untimely:
		return TimeError(e)
	case ForeignCurrency:
		return CurrencyError(e)
	}
	return nil
}

// Numbers are drawn in arrival order, after the transaction has its id (the first CTE); only then are the ids inserted
// in sorted order. So two admissions of the same events wait for each other instead of deadlocking, and of two events
// with one id the first to arrive is admitted.
var admitEvents = pg.SQL(`
WITH arrived AS MATERIALIZED (
    SELECT pg_current_xact_id() AS tx, e.*, sha256(convert_to(e.body, 'UTF8')) AS body_sha256
    FROM unnest($2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], string_to_array($8, ` + splitBodies + `), $9::text[]) WITH ORDINALITY
         AS e(occurred_at, event_id, tenant_id, type, version, aggregate_id, body, source, ord)
), numbered AS MATERIALIZED (
    SELECT a.*, nextval('event_log_seq') AS seq FROM arrived a
), admitted AS (
    INSERT INTO admission (event_id, body_sha256, seq)
    SELECT e.event_id, e.body_sha256, e.seq FROM numbered e ` + boundsOf + `
    WHERE ` + inTime + ` AND ` + notTooOld + ` ORDER BY e.event_id, e.ord
    ON CONFLICT DO NOTHING RETURNING event_id, seq
), logged AS (
    INSERT INTO event_log (tx, seq, epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
    SELECT n.tx, n.seq, (SELECT max(epoch) FROM epoch), $1, n.occurred_at, n.event_id, n.tenant_id, n.type, n.version, n.aggregate_id, n.body_sha256, n.body
    FROM numbered n JOIN admitted a USING (event_id, seq) ORDER BY n.seq
)
SELECT n.ord FROM numbered n JOIN admitted a USING (event_id, seq)`)

var admittedBodies = pg.SQL(`
SELECT e.ord, a.body_sha256 = sha256(convert_to(e.body, 'UTF8')) AS same
FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS e(event_id, body, ord)
JOIN admission a ON a.event_id = e.event_id`)

// Admit enters events from outside into the log, each once, and returns their outcomes in the order given. publish is
// false for events that the broker has already.
func Admit(ctx context.Context, tx store.Tx, events []event.Any, publish bool) ([]Admission, error) {
	refused, err := foreign(ctx, tx, events)
	if err != nil {
		return nil, err
	}
	if len(refused) == 0 {
		verdicts, err := enter(ctx, tx, events, publish)
		if err != nil {
			return nil, err
		}
		return verdicts, compareRefused(ctx, tx, events, verdicts)
	}
	verdicts := make([]Admission, len(events))
	for _, i := range refused {
		verdicts[i] = ForeignCurrency
	}
	var others []event.Any
	var at []int
	for i, v := range verdicts {
		if v != ForeignCurrency {
			others, at = append(others, events[i]), append(at, i)
		}
	}
	admitted, err := enter(ctx, tx, others, publish)
	if err != nil {
		return nil, err
	}
	for n, v := range admitted {
		verdicts[at[n]] = v
	}
	return verdicts, compareRefused(ctx, tx, events, verdicts)
}

// enter enters what is new and in time into the log. All others have the outcome Untimely, until they are compared with
// what is there.
func enter(ctx context.Context, tx store.Tx, events []event.Any, publish bool) ([]Admission, error) {
	verdicts := make([]Admission, len(events))
	if len(events) == 0 {
		return verdicts, nil
	}
	c := columnsOf(events)
	var ords []int
	err := pg.Select(ctx, tx, &ords, admitEvents, publish, c.occurred, c.ids, c.tenants, c.types, c.versions, c.aggregate, c.bodies, sourcesOf(events))
	if err != nil {
		return nil, fmt.Errorf("admitting %d events: %w", len(events), err)
	}
	if len(ords) > 0 {
		pg.NoteAppended(tx, announce)
	}
	if len(ords) == len(events) {
		return verdicts, nil
	}
	for i := range verdicts {
		verdicts[i] = Untimely
	}
	for _, ord := range ords {
		verdicts[ord-1] = Admitted
	}
	return verdicts, nil
}

func sourcesOf(events []event.Any) *pg.Column {
	sources := pg.NewColumn(len(events), 18)
	for i := range events {
		sources.Text(events[i].Metadata.Source)
	}
	return sources
}

// compareRefused tells which of the events that were not admitted are in the log already, and which are not.
func compareRefused(ctx context.Context, tx store.Tx, events []event.Any, verdicts []Admission) error {
	var ids, bodies []string
	var at []int
	for i, v := range verdicts {
		if v >= Untimely {
			ids, bodies, at = append(ids, events[i].ID.String()), append(bodies, string(events[i].Body)), append(at, i)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	known, err := pg.List[struct {
		Ord  int
		Same bool
	}](ctx, tx, fmt.Sprintf("comparing %d events with those admitted", len(ids)), admittedBodies, pq.StringArray(ids), pq.StringArray(bodies))
	for _, k := range known {
		verdicts[at[k.Ord-1]] = Conflict
		if k.Same {
			verdicts[at[k.Ord-1]] = Duplicate
		}
	}
	return err
}

// AdmitOnce is Admit in a transaction of its own.
func AdmitOnce(ctx context.Context, db *store.DB, events []event.Any, publish bool) (verdicts []Admission, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		verdicts, err = Admit(ctx, tx, events, publish)
		return err
	})
	return verdicts, err
}

var eventByID = pg.SQL(`
SELECT e.seq, e.event_id, e.type, e.occurred_at, e.body FROM admission a JOIN event_log e ON e.seq = a.seq WHERE a.event_id = $1`)

// EntryByID reads an event that came from outside; ErrNotFound when there is none.
func EntryByID(ctx context.Context, db *store.DB, id uuid.UUID) (Entry, error) {
	return pg.One[Entry](ctx, db, fmt.Sprintf("reading event %s", id), eventByID, id)
}

var bodiesByID = pg.SQL(`
SELECT a.event_id, coalesce(e.body, '') FROM admission a LEFT JOIN event_log e ON e.seq = a.seq WHERE a.event_id = ANY ($1::uuid[])`)

// AdmittedBodies returns the body of each event that came from outside and was admitted; an empty one where the log has
// dropped it since.
func AdmittedBodies(ctx context.Context, tx store.Tx, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	bodies := make(map[uuid.UUID]string, len(ids))
	if len(ids) == 0 {
		return bodies, nil
	}
	err := pg.Each(ctx, tx, fmt.Sprintf("reading the bodies of %d events", len(ids)), bodiesByID, func(row *sql.Rows) error {
		var id uuid.UUID
		var body string
		err := row.Scan(&id, &body)
		bodies[id] = body
		return err
	}, pg.UUIDs(ids))
	return bodies, err
}

var admittedAt = pg.SQL(`SELECT a.event_id, a.seq FROM admission a WHERE a.event_id = ANY ($1::uuid[])`)

// AdmittedAt returns the log position (seq) of each event that came from outside and is in the log.
func AdmittedAt(ctx context.Context, db *store.DB, ids []uuid.UUID) (map[uuid.UUID]int64, error) {
	seqs := make(map[uuid.UUID]int64, len(ids))
	err := pg.Each(ctx, db, fmt.Sprintf("reading the log positions of %d events", len(ids)), admittedAt, func(row *sql.Rows) error {
		var id uuid.UUID
		var seq int64
		err := row.Scan(&id, &seq)
		seqs[id] = seq
		return err
	}, pg.UUIDs(ids))
	return seqs, err
}
