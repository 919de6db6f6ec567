package failures

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
)

// # Quarantine
//
// When many distinct events of one class (consumer, event type, version and error fingerprint) fail within a window,
// the class is quarantined: further failures of the class go to the dead letters at once, until it is released.
//
// Invariants:
//
//   - Only failures with Counts are counted: no rejection, which is dead-lettered at once by itself, and no fault of a
//     database or a dependency.
//   - An event counts once, however often it fails: copies, retries and repetitions after a crash are the same event.
//   - Failures before a release do not count afterwards.
//
// The count is taken when a failure is recorded, over committed failures and itself. Slots that fail at the same
// moment do not see each other: a class may need some more events than the policy says, never fewer.

// QuarantinePolicy quarantines a class after this many distinct events within this time. After 0 it never does.
type QuarantinePolicy struct {
	After  int
	Within time.Duration
}

func (p QuarantinePolicy) quarantines() bool { return p.After > 0 }

// Quarantine is a class of failing events that is held back, or was until ReleasedAt. HeldBack counts its dead letters
// since then.
type Quarantine struct {
	Class       string     `db:"class" json:"class"`
	Consumer    string     `db:"consumer" json:"worker"`
	Type        string     `db:"type" json:"eventType"`
	Version     string     `db:"version" json:"version"`
	Fingerprint string     `db:"fingerprint" json:"fingerprint"`
	Sample      string     `db:"sample" json:"sample"` // the error that filled it
	Since       time.Time  `db:"since" json:"since"`
	ReleasedAt  *time.Time `db:"released_at" json:"releasedAt,omitempty"`
	HeldBack    int64      `db:"held_back" json:"heldBack"`
}

// classOf names a class: by its consumer, for readers, and by a hash of the whole.
func classOf(consumer, typ, version, fingerprint string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{consumer, typ, version, fingerprint}, "\x00")))
	return consumer + "-" + hex.EncodeToString(sum[:6])
}

var isQuarantined = pg.SQL(`SELECT EXISTS (SELECT FROM quarantine WHERE class = $1 AND released_at IS NULL)`)

// The event's own failure counts too, and is not written yet. Counting stops at the limit.
var openQuarantine = pg.SQL(`
INSERT INTO quarantine AS q (class, consumer, type, version, fingerprint, sample)
SELECT $1, $2, $3, $4, $5, $6
WHERE $9::bigint <= 1 + (SELECT count(*) FROM (
    SELECT DISTINCT f.event_id FROM failure f
    WHERE f.class = $1 AND f.class <> '' AND f.event_id <> $7 AND f.failed_at > greatest(clock_timestamp() - make_interval(secs => $8),
          coalesce((SELECT r.released_at FROM quarantine r WHERE r.class = $1), '-infinity'))
    LIMIT $9) others)
ON CONFLICT (class) DO UPDATE SET sample = excluded.sample, since = clock_timestamp(), released_at = NULL
WHERE q.released_at IS NOT NULL`)

// quarantined reports whether the class is held back, or is from this failure on.
func quarantined(ctx context.Context, tx store.Tx, f Failure, class, fingerprint string, p QuarantinePolicy) (held bool, err error) {
	if class == "" {
		return false, nil
	}
	if err := pg.Get(ctx, tx, &held, isQuarantined, class); err != nil || held {
		return held, err
	}
	n, err := pg.Exec(ctx, tx, openQuarantine, class, f.Consumer, f.Type, f.Version, fingerprint, firstLine(f.Error), f.EventID.UUID, p.Within.Seconds(), p.After)
	return n > 0, err
}

const selectQuarantine = `
SELECT q.class, q.consumer, q.type, q.version, q.fingerprint, q.sample, q.since, q.released_at,
       (SELECT count(*) FROM dead_letter d
        WHERE d.headers ? 'x-quarantine' AND d.headers ->> 'x-quarantine' = q.class AND d.recorded_at >= q.since) AS held_back
FROM quarantine q `

var listQuarantine = pg.SQL(selectQuarantine + `WHERE q.released_at IS NULL OR $1::boolean ORDER BY q.released_at IS NOT NULL, q.since DESC, q.class`)

// Quarantined lists the quarantined classes, the newest first; with all, the released ones after them.
func Quarantined(ctx context.Context, db *store.DB, all bool) ([]Quarantine, error) {
	return pg.List[Quarantine](ctx, db, "reading the quarantined classes", listQuarantine, all)
}

var releaseQuarantine = pg.SQL(`UPDATE quarantine SET released_at = clock_timestamp() WHERE class = $1 AND released_at IS NULL`)

var oneQuarantine = pg.SQL(selectQuarantine + `WHERE q.class = $1`)

// ErrReleased means that the class was released before.
var ErrReleased = errors.New("it was released before")

// ReleaseQuarantine lets events of the class go to their retry queues again, and records that in the operator log;
// counting begins anew. It returns the class as it is then: ErrNotFound when there is none of that name, ErrReleased
// when it was released before.
func ReleaseQuarantine(ctx context.Context, db *store.DB, by operatorlog.By, class string) (q Quarantine, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		n, err := pg.Exec(ctx, tx, releaseQuarantine, class)
		if err != nil {
			return err
		}
		if err := pg.Get(ctx, tx, &q, oneQuarantine, class); err != nil {
			return err
		}
		if n == 0 {
			return ErrReleased
		}
		return operatorlog.Note(ctx, tx, by, "quarantine release", class, nil, nil)
	})
	if err != nil {
		return q, fmt.Errorf("releasing %s: %w", class, err)
	}
	return q, nil
}

var quarantinedClasses = pg.SQL(`SELECT count(*) FROM quarantine WHERE released_at IS NULL`)

// QuarantinedClasses counts the quarantined classes.
func QuarantinedClasses(ctx context.Context, db *store.DB) (int, error) {
	return pg.One[int](ctx, db, "counting the quarantined classes", quarantinedClasses)
}
