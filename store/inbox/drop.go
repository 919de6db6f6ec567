package inbox

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Dropping generations of the inbox
//
// The oldest generation is dropped when none of its rows is needed: not to recognise a redelivered event, because its
// successor is older than the retention; and not to prove that its events were handled, because a checkpoint whose
// snapshot saw the successor has done so. Rotation waits for open claims, so a snapshot that sees the successor sees
// every row the generation before it will ever have.
//
// Invariants:
//
//   - No claim sees a generation half dropped. A claim holds the rotation lock from before it reads the list of
//     generations; Drop takes it exclusively and removes list entry and table in one transaction. Reads without that
//     lock (Handled, pending deliveries) read the list in the same statement as the tables: the statement's lock on
//     inbox precedes its snapshot.
//   - No audit sees it half dropped: it locks inbox before it takes its snapshot (store/audit, checkpoint.go). Drop
//     waits for that lock for at most a second, and the next call tries again.
//   - Readers count events handled in a dropped generation as handled: inbox_dropped holds the snapshot of the
//     checkpoint that proved them. What that checkpoint left open is in audit_open until it is handled, in a younger
//     generation.
//   - An event that moved stock in the generation and is not in the log yet prevents the drop: once logged it would be
//     pending.
//
// Crash: before the commit the generation is whole, after it gone. Its file is deleted after the commit; a crash in
// between leaves an orphan file, as with any DROP TABLE.

// The oldest generation whose successor is old enough, and the newest checkpoint if it saw the successor.
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

// Drop drops the oldest generation of the inbox when it is no longer needed, and returns its number; 0 when there is
// none. age is how long a generation is kept after its last row. It waits at most a second for open claims and audits
// (ErrRetryable then). Several processes may call it at once: one drops the generation.
func Drop(ctx context.Context, db *store.DB, age time.Duration) (dropped int, err error) {
	var old []struct {
		Generation int    `db:"generation"`
		ID         int64  `db:"id"`
		Epoch      int    `db:"epoch"`
		Snapshot   string `db:"snapshot"`
	}
	if err := pg.Select(ctx, db, &old, droppableGeneration, age.Seconds()); err != nil {
		return 0, fmt.Errorf("choosing a generation of the inbox to drop: %w", err)
	}
	if len(old) == 0 {
		return 0, nil
	}
	g := old[0]
	err = db.InTx(ctx, func(tx store.Tx) error {
		if _, err := pg.Exec(ctx, tx, setRotationTimeout, fmt.Sprint(rotationLockTimeout.Milliseconds())); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, tx, lockRotation, rotationLock); err != nil {
			return err
		}
		if n, err := pg.Exec(ctx, tx, forgetGeneration, g.Generation); err != nil || n == 0 {
			return err // another process has dropped it
		}
		dropped = g.Generation
		if _, err := pg.Exec(ctx, tx, noteDropped, g.Generation, g.Epoch, g.Snapshot); err != nil {
			return err
		}
		_, err := pg.Exec(ctx, tx, dropPartition, g.Generation)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("dropping generation %d of the inbox: %w", g.Generation, err)
	}
	return dropped, nil
}
