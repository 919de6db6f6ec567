package erasure

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
)

// row is an event that is to be erased.
type row struct {
	Seq     int64          `db:"seq"`
	EventID uuid.UUID      `db:"event_id"`
	Type    string         `db:"type"`
	Tenant  string         `db:"tenant_id"`
	Body    string         `db:"body"`
	Logged  archive.Digest `db:"body_sha256"`
	// Open are the consumers that have still to handle it.
	Open        pq.StringArray `db:"open"`
	Unpublished bool           `db:"unpublished"`
	erasureBefore
}

// erasureBefore is the newest erasure of an event, if there is one.
type erasureBefore struct {
	StandIn   []byte         `db:"stand_in_sha256"`
	Fields    pq.StringArray `db:"fields"`
	Signature []byte         `db:"signature"`
}

// A delivery is open until the consumer's inbox has the event, or its dead letter was discarded.
var lockedEvents = pg.SQL(`
WITH ` + eventlog.RelayCursorSQL + `
SELECT e.seq, e.event_id, e.type, e.tenant_id, e.body, e.body_sha256, r.stand_in_sha256, r.fields, r.signature,
       e.publish AND NOT (SELECT ` + eventlog.PassedByRelaySQL + ` FROM relay r) AS unpublished,
       ARRAY(SELECT c.name FROM subscription s JOIN consumer c ON c.id = s.consumer JOIN tick t ON t.id = s.from_tick
             WHERE s.type = e.type AND NOT ` + eventlog.SeenBySQL("t.epoch", "t.snapshot") + `
               AND (SELECT count(*) FROM inbox i WHERE i.generation = ANY (` + eventlog.KeptGenerationsSQL + `) AND i.consumer = s.consumer AND i.event_id = e.event_id) = 0
               AND (SELECT count(*) FROM dead_letter d
                    WHERE d.event_id = e.event_id AND d.consumer = c.name AND d.discarded_at IS NOT NULL AND d.redriven_at IS NULL AND d.missed_at IS NULL) = 0
               AND NOT ` + eventlog.ForgottenSQL + ` ORDER BY c.name) AS open
FROM event_log e LEFT JOIN LATERAL (SELECT stand_in_sha256, fields, signature FROM erasure WHERE seq = e.seq ORDER BY id DESC LIMIT 1) r ON true
WHERE e.seq = ANY ($1::bigint[]) ORDER BY e.seq FOR UPDATE OF e`)

func lockEvents(ctx context.Context, tx store.Tx, seqs []int64) ([]row, error) {
	return pg.List[row](ctx, tx, fmt.Sprintf("reading %d events to be erased", len(seqs)), lockedEvents, pq.Int64Array(seqs))
}

// change is what is to be erased of an event.
func (r *row) change(cfg Config) Change {
	c := Change{Seq: r.Seq, EventID: r.EventID, Type: r.Type, Tenant: r.Tenant, Fields: []string{}, logged: r.Logged}
	now := archive.Digest(sha256.Sum256([]byte(r.Body)))
	if now != r.Logged && string(now[:]) != string(r.StandIn) {
		c.Problem = "it was edited, and an erasure would hide that; `composerp events verify` shows it"
		return c
	}
	stand, had, values, err := standIn([]byte(r.Body), slices.Clone(cfg.Fields))
	switch {
	case err != nil:
		c.Problem = err.Error()
		return c
	case len(had) == 0:
		c.signs = cfg.Key != nil && r.StandIn != nil && len(r.Signature) == 0
		c.stand, c.all, c.body = now, r.Fields, r.Body
		return c
	}
	c.Fields, c.body, c.stand = had, string(stand), sha256.Sum256(stand)
	c.all = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(had), r.Fields...))))
	c.Still = still(stand, values)
	switch {
	case r.Unpublished:
		c.Problem = "the relay has still to publish it; start the fleet, and repeat the command"
	case len(r.Open) > 0:
		c.Problem = fmt.Sprintf("%s has still to handle it, and the broker has the original: `composerp events show %s` says where; redrive or discard its dead letters, release its quarantine, and repeat the command",
			strings.Join(r.Open, ", "), r.EventID)
	}
	return c
}

var setBodies = pg.SQL(`
UPDATE event_log e SET body = n.body FROM unnest($1::bigint[], $2::text[]) AS n(seq, body) WHERE e.seq = n.seq`)

func writeBodies(ctx context.Context, tx store.Tx, changes []Change) error {
	columns := pg.NewColumns(2, len(changes))
	for _, c := range changes {
		if len(c.Fields) > 0 {
			columns.Add(c.Seq, c.body)
		}
	}
	if _, err := pg.Exec(ctx, tx, setBodies, columns...); err != nil {
		return fmt.Errorf("writing the bodies that stand in: %w", err)
	}
	return nil
}

var insertErasure = pg.SQL(`
INSERT INTO erasure (seq, event_id, type, tenant_id, body_sha256, stand_in_sha256, fields, erased_at, operator, reason, signature)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`)

// note writes the erasures, and the entries of the operator log.
func (cfg Config) note(ctx context.Context, tx store.Tx, changes []Change) error {
	for i := range changes {
		c := &changes[i]
		if len(c.Fields) == 0 && !c.signs {
			continue
		}
		e := Erasure{
			Seq: c.Seq, EventID: c.EventID, Type: c.Type, Tenant: c.Tenant, Body: c.logged, StandIn: c.stand, Fields: c.all,
			ErasedAt: cfg.Now.UTC().Truncate(time.Microsecond), Operator: cfg.By.Operator, Reason: cfg.By.Reason,
		}
		if err := e.sign(cfg.Key); err != nil {
			return err
		}
		err := pg.Write(ctx, tx, "noting an erasure", insertErasure, e.Seq, e.EventID, e.Type, e.Tenant, e.Body[:], e.StandIn[:], e.Fields, e.ErasedAt, e.Operator, e.Reason, e.Signature)
		if err != nil {
			return err
		}
		if err := operatorlog.Note(ctx, tx, cfg.By, Action, c.EventID.String(), nil, map[string]any{"fields": c.Fields, "deadLetters": c.DeadLetters}); err != nil {
			return err
		}
	}
	return nil
}

var lettersOf = pg.SQL(`SELECT id, event_id, body FROM dead_letter WHERE event_id = ANY ($1::uuid[]) FOR UPDATE`)

var setLetter = pg.SQL(`UPDATE dead_letter SET body = $2 WHERE id = $1`)

// letters erases the bodies of the events' dead letters, or counts them.
func (cfg Config) letters(ctx context.Context, tx store.Tx, changes []Change, write bool) error {
	of := map[uuid.UUID]*Change{}
	var ids []uuid.UUID
	for i := range changes {
		if c := &changes[i]; len(c.Fields) > 0 {
			of[c.EventID] = c
			ids = append(ids, c.EventID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	type letter struct {
		id, event uuid.UUID
		body      []byte
	}
	var found []letter
	err := pg.Each(ctx, tx, "reading dead letters", lettersOf, func(row *sql.Rows) error {
		var l letter
		err := row.Scan(&l.id, &l.event, &l.body)
		found = append(found, l)
		return err
	}, pg.UUIDs(ids))
	if err != nil {
		return err
	}
	for _, l := range found {
		c := of[l.event]
		stand, had, _, err := standIn(l.body, slices.Clone(c.Fields))
		switch {
		case err != nil && c.Problem == "":
			c.Problem = fmt.Sprintf("its dead letter %s: %v; delete that row of dead_letter", l.id, err)
		case err != nil || len(had) == 0:
		default:
			c.DeadLetters++
			if !write {
				continue
			}
			if err := pg.Write(ctx, tx, "erasing a dead letter", setLetter, l.id, stand); err != nil {
				return err
			}
		}
	}
	return nil
}

// Positions are where the log has events, by their ids; those that it does not have are missing.
func Positions(ctx context.Context, db *store.DB, ids []uuid.UUID) (seqs []int64, missing []uuid.UUID, err error) {
	found := map[uuid.UUID]bool{}
	err = pg.Each(ctx, db, "looking for events in the log", positionsOf, func(row *sql.Rows) error {
		var seq int64
		var id uuid.UUID
		err := row.Scan(&seq, &id)
		seqs, found[id] = append(seqs, seq), true
		return err
	}, pg.UUIDs(ids))
	for _, id := range ids {
		if !found[id] {
			missing = append(missing, id)
		}
	}
	return seqs, missing, err
}

var positionsOf = pg.SQL(`SELECT seq, event_id FROM event_log WHERE event_id = ANY ($1::uuid[])`)

var derivedFrom = pg.SQL(`
SELECT e.seq, e.event_id FROM event_log e
WHERE e.seq > $1 AND strpos(e.body, '"causationId"') > 0
  AND (replace(e.body, '\u0000', '\ufffd')::jsonb #>> '{metadata,causationId}') = ANY ($2::text[])`)

// Derived are the positions of the events that follow from those at the positions, directly or not: they carry on
// metadata.userId. It reads the log once for each step.
func Derived(ctx context.Context, db *store.DB, seqs []int64) (derived []int64, err error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	causes, err := pg.List[string](ctx, db, "reading the ids of events", idsAt, pq.Int64Array(seqs))
	known := map[int64]bool{}
	for _, seq := range seqs {
		known[seq] = true
	}
	for err == nil && len(causes) > 0 {
		var next []string
		err = pg.Each(ctx, db, "looking for derived events", derivedFrom, func(row *sql.Rows) error {
			var seq int64
			var id string
			if err := row.Scan(&seq, &id); err != nil {
				return err
			}
			if !known[seq] {
				known[seq], next, derived = true, append(next, id), append(derived, seq)
			}
			return nil
		}, slices.Min(seqs), pq.StringArray(causes))
		causes = next
	}
	return derived, err
}

// A replay whose process was killed stays running, and publishes nothing before it is resumed.
var replaying = pg.SQL(`SELECT EXISTS (SELECT FROM replay WHERE state = 'running' AND moved_at > clock_timestamp() - interval '30 seconds')`)

var idsAt = pg.SQL(`SELECT event_id::text FROM event_log WHERE seq = ANY ($1::bigint[])`)

// CarriesOn tells whether derived events have one of the fields from their cause.
func CarriesOn(fields []string) bool {
	return slices.ContainsFunc(fields, func(f string) bool { return f == All || f == "metadata.userId" || f == "metadata.traceparent" })
}
