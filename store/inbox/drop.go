package inbox

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Dropping generations of the inbox
//
// A generation of the inbox is dropped, the oldest first, when none of its rows is
// needed any more: not to recognise an event that turns up again, for its
// successor is older than a generation has to live; and not to prove that its
// events were handled, for a checkpoint has done so: one whose snapshot saw the
// successor. Rotation waits for the claims in hand, so that a snapshot which sees
// the successor sees every row there will ever be in the generation before it.
//
// Invariants:
//
//   - No claim sees a generation half gone. A claimant holds the rotation lock
//     from before it reads which generations there are; dropping takes it
//     exclusively, and takes the generation out of the list and the table away
//     in one transaction. Whoever asks without that lock (Handled, Owing) reads the
//     list in the statement that looks into the tables: the lock that it needs on
//     the inbox comes before its snapshot.
//   - No audit sees it half gone either: it locks the inbox before it takes its
//     snapshot (audit_checkpoint.go), and dropping waits for that lock, a second at
//     most, and tries again later.
//   - Who looks at events that were handled in it counts them as handled:
//     inbox_dropped has the snapshot of the checkpoint that proved them. What that
//     checkpoint left open is in audit_open until somebody has handled it, and so
//     is in a younger generation then.
//   - An event that moved stock in it and is not in the log yet holds it back: it
//     would be owed once it is logged.
//
// Crash: before the commit the generation is whole and after it it is gone. Its
// file is deleted after the commit; a crash in between leaves a file that nobody
// refers to, as any DROP TABLE does.

// The oldest generation that has a successor old enough, and the newest checkpoint, if that saw the successor.
var droppableGeneration = pg.SQL(`
SELECT g.generation, c.id, c.epoch, c.snapshot::text AS snapshot
FROM (SELECT generation, lead(opened_at) OVER w AS followed_at, lead(generation) OVER w AS successor
      FROM inbox_generation WINDOW w AS (ORDER BY generation) ORDER BY generation LIMIT 1) g
JOIN (SELECT id, epoch, snapshot, generation FROM audit_checkpoint ORDER BY id DESC LIMIT 1) c ON c.generation >= g.successor
WHERE g.followed_at < clock_timestamp() - make_interval(secs => $1)
  AND NOT EXISTS (SELECT FROM audit_open o CROSS JOIN consumer k JOIN inbox i ON i.generation = g.generation AND i.consumer = k.id AND i.event_id = o.event_id
                  WHERE o.checkpoint = c.id AND o.seq IS NULL)`)

var forgetGeneration = pg.SQL(`DELETE FROM inbox_generation WHERE generation = $1`)

var noteDropped = pg.SQL(`INSERT INTO inbox_dropped (generation, epoch, snapshot) VALUES ($1, $2, $3::pg_snapshot)`)

// DropInbox drops the oldest generation of the inbox if nobody needs it any more,
// and tells which; 0 when there is none. age is how long after its last row one is
// kept. It waits for claims and audits in hand, a second at most (ErrRetryable
// then). Several processes may call it at once: one of them drops the generation.
func Drop(ctx context.Context, db *store.DB, age time.Duration) (dropped int, err error) {
	var old []struct {
		Generation int    `db:"generation"`
		ID         int64  `db:"id"`
		Epoch      int    `db:"epoch"`
		Snapshot   string `db:"snapshot"`
	}
	if err := pg.Select(ctx, db, &old, droppableGeneration, age.Seconds()); err != nil {
		return 0, fmt.Errorf("looking for a generation of the inbox to drop: %w", err)
	}
	if len(old) == 0 {
		return 0, nil
	}
	g := old[0]
	err = db.InTx(ctx, func(tx store.Tx) error {
		if _, err := pg.Exec(ctx, tx, rotateSoon, fmt.Sprint(rotationLockTimeout.Milliseconds())); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, tx, lockRotation, rotationLock); err != nil {
			return err
		}
		if n, err := pg.Exec(ctx, tx, forgetGeneration, g.Generation); err != nil || n == 0 {
			return err // somebody else has dropped it
		}
		dropped = g.Generation
		if _, err := pg.Exec(ctx, tx, noteDropped, g.Generation, g.Epoch, g.Snapshot); err != nil {
			return err
		}
		return pg.ExecText(ctx, tx, fmt.Sprintf(`DROP TABLE inbox_%d`, g.Generation))
	})
	if err != nil {
		return 0, fmt.Errorf("dropping generation %d of the inbox: %w", g.Generation, err)
	}
	return dropped, nil
}

var isForgotten = pg.SQL(`SELECT ` + eventlog.ForgottenSQL + ` FROM event_log e WHERE e.seq = $1`)

// Forgotten tells whether the inbox may have forgotten who has handled the event
// at this place of the log. Whoever has it handled again does not know whether it
// is done twice. ErrNotFound when no event stands there.
func Forgotten(ctx context.Context, db *store.DB, seq int64) (bool, error) {
	var is bool
	if err := pg.Get(ctx, db, &is, isForgotten, seq); err != nil {
		return false, fmt.Errorf("asking whether the inbox has forgotten place %d of the log: %w", seq, err)
	}
	return is, nil
}
