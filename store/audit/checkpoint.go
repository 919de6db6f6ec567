package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Checkpoints
//
// An audit that finds nothing wrong leaves a checkpoint: its snapshot, the state of every position in it, what was
// open, and how much of everything there was. The next audit checks what that snapshot has not seen, and what was
// open, however old the log is.
//
// Invariants:
//
//   - A checkpoint holds only what was proven: the auditing transaction itself, REPEATABLE READ, writes it and names
//     its snapshot. The checks, the copied positions and the rows of audit_open are of one state.
//   - Fresh events are found by log position and snapshot, as the log's reader finds them. Transactions that a
//     snapshot has not seen start at its xmin; a tick with an older transaction has read the sequence before any of
//     those drew a number (store/eventlog), so they stand past that tick's seq_before: floor. A long open transaction
//     makes floor older, and nothing is lost by it.
//   - A movement is fresh exactly when its INVENTORY_UPDATED is: they commit together. So movements are found by key
//     from the events, without another index. Each position must then count, from the checkpoint's sequence on, as
//     many movements as were found.
//   - Rows without an event are found as well: admission and movement are append-only, so all rows after the last one
//     that a snapshot saw (the ends, by ctid) are fresh. Rows may also reuse the space of a dead one before that;
//     those with an event are found all the same. A rewritten table has another file number, and everything is
//     checked.
//   - Checkpoints follow one another: each continues from the newest that its snapshot saw, and one has one successor.
//     Of two concurrent audits the first to end leaves a checkpoint; the other has proven no less, and leaves none.
//   - Snapshots of another epoch say nothing about this one's transactions: after a restore everything is checked.
//
// Crash: before the commit nothing has happened. After it the checkpoint is whole. A server that was restored to an
// earlier time has the checkpoint of that time.

// Checkpoint is what an audit has proven.
type Checkpoint struct {
	ID     int64     `db:"id" json:"id"`
	MadeAt time.Time `db:"made_at" json:"madeAt"`
	Events int64     `db:"-" json:"events"` // in the log by then
}

// checkpoint is a row of the table.
type checkpoint struct {
	Checkpoint
	Epoch         int    `db:"epoch"`
	Snapshot      string `db:"snapshot"`
	Floor         int64  `db:"floor"`
	Generation    int    `db:"generation"`
	AdmissionFile int64  `db:"admission_file"`
	AdmissionEnd  string `db:"admission_end"`
	MovementFile  int64  `db:"movement_file"`
	MovementEnd   string `db:"movement_end"`
	Tallies       []byte `db:"tallies"`
}

// snapshotInfo describes an audit's snapshot.
type snapshotInfo struct {
	Now           time.Time `db:"now"`
	Epoch         int       `db:"epoch"`
	Snapshot      string    `db:"snapshot"`
	Floor         int64     `db:"floor"`
	Generation    int       `db:"generation"`
	Moved         int64     `db:"moved"`
	AdmissionFile int64     `db:"admission_file"`
	AdmissionPage string    `db:"admission_page"` // where the search for the end begins
	MovementFile  int64     `db:"movement_file"`
	MovementPage  string    `db:"movement_page"`
	Last          int64     `db:"last"` // the newest checkpoint's number; 0: none
	Next          int64     `db:"next"` // the number of this audit and of its checkpoint
	Fits          bool      `db:"fits"`
	Archived      int64     `db:"archived"` // the log begins at this position; what is before it was proven and archived
	ArchivedCount int64     `db:"archived_count"`
}

// Dropping an inbox generation or a partition of the log waits for this lock, and a later audit sees that it is gone.
// The lock comes before the snapshot.
var lockForAudit = pg.SQL(`LOCK TABLE inbox, event_log IN ACCESS SHARE MODE`)

// The search for the ends starts some pages earlier: pages are added several at a time, and the newest may have no row
// yet. An epoch's first tick has read the sequence past all events of earlier epochs.
var auditBegin = pg.SQL(`
SELECT clock_timestamp() AS now, n.epoch, pg_current_snapshot()::text AS snapshot,
       coalesce((SELECT t.seq_before FROM tick t WHERE t.epoch = n.epoch AND t.tx < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY t.id DESC LIMIT 1), 0) AS floor,
       (SELECT max(generation) FROM inbox_generation) AS generation,
       pg_relation_filenode('admission')::bigint AS admission_file, pg_relation_filenode('movement')::bigint AS movement_file,
       format('(%s,0)', greatest(0, pg_relation_size('admission') / current_setting('block_size')::int - 64)) AS admission_page,
       format('(%s,0)', greatest(0, pg_relation_size('movement') / current_setting('block_size')::int - 64)) AS movement_page,
       coalesce((SELECT max(id) FROM audit_checkpoint), 0) AS last, nextval('audit_number') AS next, EXISTS (SELECT ` + eventlog.EpochFitsSQL + `) AS fits,
       (SELECT coalesce(max(high), 0) FROM log_archive) AS archived, (SELECT coalesce(sum(events), 0) FROM log_archive) AS archived_count
FROM (SELECT max(epoch) AS epoch FROM epoch) n`)

var auditMovedSince = pg.SQL(`
SELECT count(*) FROM event_log e
WHERE e.seq > coalesce((SELECT t.seq_before FROM tick t WHERE t.epoch = $1 AND t.tx < pg_snapshot_xmin($2::pg_snapshot) ORDER BY t.id DESC LIMIT 1), 0)
  AND NOT ` + eventlog.SeenBySQL("$1", "$2::pg_snapshot"))

var auditLastCheckpoint = pg.SQL(`
SELECT id, epoch, snapshot::text AS snapshot, floor, generation, admission_file, admission_end::text AS admission_end,
       movement_file, movement_end::text AS movement_end, tallies, made_at
FROM audit_checkpoint WHERE id = $1`)

// begin takes the snapshot, and decides what to check.
func (a *run) begin(ctx context.Context) error {
	if _, err := pg.Exec(ctx, a.tx, lockForAudit); err != nil {
		return err
	}
	if err := pg.Get(ctx, a.tx, &a.began, auditBegin); err != nil {
		return err
	}
	if !a.began.Fits {
		return eventlog.ErrRestored // ids of another server say nothing about what is new or published
	}
	if err := a.resume(ctx); err != nil {
		return err
	}
	scans := "on"
	if a.last != nil {
		scans = "off" // little is fresh, and is found by key
	}
	if _, err := pg.Exec(ctx, a.tx, auditSettings, scans); err != nil {
		return err
	}
	if a.scope.Settled == "" {
		return nil
	}
	return pg.Get(ctx, a.tx, &a.began.Moved, auditMovedSince, a.scope.SettledEpoch, a.scope.Settled)
}

// resume continues from the last checkpoint, if possible.
func (a *run) resume(ctx context.Context) error {
	if a.scope.Full || a.began.Last == 0 {
		return nil
	}
	var last checkpoint
	if err := pg.Get(ctx, a.tx, &last, auditLastCheckpoint, a.began.Last); err != nil {
		return err
	}
	if last.Epoch != a.began.Epoch || last.AdmissionFile != a.began.AdmissionFile || last.MovementFile != a.began.MovementFile {
		return nil
	}
	if err := json.Unmarshal(last.Tallies, &a.tally); err != nil {
		return fmt.Errorf("reading checkpoint %d: %w", last.ID, err)
	}
	last.Events = a.tally.events()
	a.last = &last
	return nil
}

var admissionEnd = pg.SQL(`SELECT coalesce(max(ctid), $1::tid)::text FROM admission WHERE ctid >= $1::tid`)

var movementEnd = pg.SQL(`SELECT coalesce(max(ctid), $1::tid)::text FROM movement WHERE ctid >= $1::tid`)

var makeCheckpoint = pg.SQL(`
INSERT INTO audit_checkpoint (id, previous, epoch, snapshot, floor, generation, admission_file, admission_end, movement_file, movement_end, tallies)
VALUES ($1, $2, $3, $4::pg_snapshot, $5, $6, $7, $8::tid, $9, $10::tid, $11::jsonb) ON CONFLICT (previous) DO NOTHING`)

var markPositions = pg.SQL(`
UPDATE audit_position a SET sequence = p.sequence, on_hand = p.on_hand
FROM position p WHERE p.id = a.position_id AND (p.sequence, p.on_hand) IS DISTINCT FROM (a.sequence, a.on_hand)`)

var addPositions = pg.SQL(`
INSERT INTO audit_position (position_id, sequence, on_hand)
SELECT p.id, p.sequence, p.on_hand FROM position p LEFT JOIN audit_position a ON a.position_id = p.id WHERE a.position_id IS NULL`)

// keptCheckpoints is how many checkpoints are kept for history. Only the newest is continued from.
const keptCheckpoints = 1000

var forgetCheckpoints = pg.SQL(`DELETE FROM audit_checkpoint WHERE id <= $1`)

var forgetOpen = pg.SQL(`DELETE FROM audit_open WHERE checkpoint < $1`)

var forgetMoved = pg.SQL(`DELETE FROM audit_moved WHERE checkpoint <= $1`)

// errOvertaken: a concurrent audit has made its checkpoint first.
var errOvertaken = errors.New("another audit has made a checkpoint meanwhile")

// checkpoint writes the checkpoint and commits. An error costs the checkpoint, not the proof.
func (a *run) checkpoint(ctx context.Context) error {
	err := a.writeCheckpoint(ctx)
	if err == nil {
		err = a.tx.Commit()
	}
	if errors.Is(err, store.ErrRetryable) {
		return errOvertaken
	}
	if err != nil {
		return fmt.Errorf("making a checkpoint: %w", err)
	}
	return nil
}

func (a *run) writeCheckpoint(ctx context.Context) error {
	var admissions, movements string
	if err := pg.Get(ctx, a.tx, &admissions, admissionEnd, a.began.AdmissionPage); err != nil {
		return err
	}
	if err := pg.Get(ctx, a.tx, &movements, movementEnd, a.began.MovementPage); err != nil {
		return err
	}
	for _, o := range a.open { // counted again for as long as they are dead
		a.tally.Checks["handled"] -= o.Dead
		if o.Consumer == auditedLedger {
			a.tally.Checks["implied"] -= o.DeadMoving
		}
	}
	tallies, err := json.Marshal(a.tally)
	if err != nil {
		return err
	}
	b := a.began
	for _, s := range []struct {
		text pg.Statement
		args []any
	}{
		{makeCheckpoint, []any{b.Next, b.Last, b.Epoch, b.Snapshot, b.Floor, b.Generation, b.AdmissionFile, admissions, b.MovementFile, movements, string(tallies)}},
		{markPositions, nil}, {addPositions, nil}, {forgetCheckpoints, []any{b.Next - keptCheckpoints}},
		{forgetOpen, []any{b.Next}}, {forgetMoved, []any{b.Next}},
	} {
		if _, err := pg.Exec(ctx, a.tx, s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}
