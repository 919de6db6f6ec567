package scaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
)

// # Pools in mode auto
//
// The leader writes the desired number of a pool in mode auto. Its invariants are those of the package, and:
//
//   - A decision is written under the leader's lease, and only to the revision that it was made for: what an operator
//     has changed meanwhile stands, and the next decision knows it.
//   - An override (`scale --for`) and a pause stand: the autoscaler decides nothing until they are over.
//
// A crash after the decision is written leaves it to be assigned, like a number of an operator.

// Modes of a pool.
const (
	Manual = "manual"
	Auto   = "auto"
)

// AutoChange puts a queue into mode auto. A nil field stays as it is; a new pool has 1 to 8 slots and a minute.
type AutoChange struct {
	Queue    string
	Min, Max *int
	Drain    *time.Duration // in which a backlog is to be worked off
}

const (
	defaultMin = 1
	defaultMax = 8
)

var setAuto = pg.SQL(`
INSERT INTO worker_pool AS p (queue, mode, min, max, drain_seconds, updated_by, reason)
VALUES ($1, 'auto', coalesce($2, ` + fmt.Sprint(defaultMin) + `), coalesce($3, ` + fmt.Sprint(defaultMax) + `), coalesce($4, 60), $5, $6)
ON CONFLICT (queue) DO UPDATE SET mode = 'auto', min = coalesce($2, CASE WHEN p.max IS NULL THEN ` + fmt.Sprint(defaultMin) + ` ELSE p.min END),
    max = coalesce($3, p.max, ` + fmt.Sprint(defaultMax) + `), drain_seconds = coalesce($4, p.drain_seconds),
    revision = p.revision + 1, updated_at = clock_timestamp(), updated_by = excluded.updated_by, reason = excluded.reason
RETURNING ` + poolColumns)

// ErrBounds means that a pool's least number is above its most.
var ErrBounds = errors.New("min is above max")

// SetAuto lets the leader decide how many slots a queue has. ErrBounds: it would have a min above its max.
func SetAuto(ctx context.Context, db *store.DB, by operatorlog.By, c AutoChange) (is Pool, err error) {
	var drain *float64
	if c.Drain != nil {
		seconds := c.Drain.Seconds()
		drain = &seconds
	}
	err = db.InTx(ctx, func(tx store.Tx) error {
		was, err := lockedPool(ctx, tx, c.Queue)
		if err != nil {
			return err
		}
		if err := pg.Get(ctx, tx, &is, setAuto, c.Queue, c.Min, c.Max, drain, by.Operator, by.Reason); err != nil {
			return err
		}
		if is.Max != nil && is.Min > *is.Max {
			return fmt.Errorf("%w: %d and %d", ErrBounds, is.Min, *is.Max)
		}
		if err := operatorlog.Note(ctx, tx, by, "autoscale", c.Queue, was.notedAuto(), is.notedAuto()); err != nil {
			return err
		}
		return hint(ctx, tx)
	})
	if err != nil {
		return is, fmt.Errorf("letting %s scale by itself: %w", c.Queue, err)
	}
	return is, nil
}

var endAuto = pg.SQL(`
UPDATE worker_pool SET mode = 'manual', revision = revision + 1, updated_at = clock_timestamp(), updated_by = $2, reason = $3
WHERE queue = $1 AND mode = 'auto' RETURNING ` + poolColumns)

// EndAuto leaves a queue the slots that it has, until an operator changes them. It reports false when it was not in
// mode auto.
func EndAuto(ctx context.Context, db *store.DB, by operatorlog.By, queue string) (ended bool, is Pool, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		was, err := lockedPool(ctx, tx, queue)
		if err != nil {
			return err
		}
		err = pg.Get(ctx, tx, &is, endAuto, queue, by.Operator, by.Reason)
		if errors.Is(err, store.ErrNotFound) {
			ended, is = false, was
			return nil
		}
		if err != nil {
			return err
		}
		ended = true
		if err := operatorlog.Note(ctx, tx, by, "autoscale", queue, was.notedAuto(), is.notedAuto()); err != nil {
			return err
		}
		return hint(ctx, tx)
	})
	if err != nil {
		return false, is, fmt.Errorf("ending the autoscaling of %s: %w", queue, err)
	}
	return ended, is, nil
}

// lockedPool reads a pool for a change; where there is none it is zero but for its name.
func lockedPool(ctx context.Context, tx store.Tx, queue string) (p Pool, err error) {
	err = pg.Get(ctx, tx, &p, lockPool, queue)
	if errors.Is(err, store.ErrNotFound) {
		return Pool{Queue: queue, Mode: Manual}, nil // sqlx has made its pointers point to zeros
	}
	return p, err
}

func (p Pool) notedAuto() map[string]any {
	noted := p.noted()
	noted["mode"] = p.Mode
	if p.Mode == Auto {
		noted["min"], noted["max"], noted["drainSeconds"] = p.Min, p.Max, p.DrainSeconds
	}
	return noted
}

// Decision is what the leader decided for a pool, as JSON, with the curve that the next leader begins with.
type Decision struct {
	Queue    string          `db:"queue"`
	At       time.Time       `db:"at"`
	Decision json.RawMessage `db:"decision"`
	Curve    json.RawMessage `db:"curve"`
}

var (
	writeDecision = pg.SQL(`
INSERT INTO scale_decision (queue, decision, curve) VALUES ($1, $2::jsonb, $3::jsonb)
ON CONFLICT (queue) DO UPDATE SET at = clock_timestamp(), decision = excluded.decision, curve = excluded.curve`)
	readDecisions = pg.SQL(`SELECT queue, at, decision, curve FROM scale_decision ORDER BY queue`)
	scaleAuto     = pg.SQL(`
UPDATE worker_pool SET desired = $3, revision = revision + 1, updated_at = clock_timestamp(), updated_by = 'autoscaler', reason = $4
WHERE queue = $1 AND revision = $2 AND mode = 'auto' AND NOT paused AND override_until IS NULL`)
)

// Decided writes a decision for a pool as it was read: desired slots, and why. It reports whether the number was
// taken: not when an operator has changed the pool since.
func Decided(ctx context.Context, db *store.DB, lease store.Lease, p Pool, desired int, reason string, d Decision) (taken bool, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		if err := pg.Write(ctx, tx, "recording a decision", writeDecision, p.Queue, string(d.Decision), string(d.Curve)); err != nil {
			return err
		}
		if p.Desired != nil && *p.Desired == desired {
			return nil
		}
		n, err := pg.Exec(ctx, tx, scaleAuto, p.Queue, p.Revision, desired, reason)
		if taken = n > 0; err != nil || !taken {
			return err
		}
		if err := event(ctx, tx, p.Queue, "", p.Desired, &desired, "autoscaler", reason); err != nil {
			return err
		}
		return hint(ctx, tx)
	})
	if err != nil {
		return false, fmt.Errorf("scaling %s: %w", p.Queue, err)
	}
	return taken, nil
}

// Decisions reads the last decision for each queue.
func Decisions(ctx context.Context, db *store.DB) (map[string]Decision, error) {
	rows, err := pg.List[Decision](ctx, db, "reading decisions of the autoscaler", readDecisions)
	decisions := make(map[string]Decision, len(rows))
	for _, d := range rows {
		decisions[d.Queue] = d
	}
	return decisions, err
}
