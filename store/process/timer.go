package process

import (
	"context"
	"errors"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Due is a timer that is due, of an instance that this transaction has locked.
type Due struct {
	Key
	Name     string    `db:"name"`
	DueAt    time.Time `db:"due_at"`
	Failures int       `db:"failures"`
}

// An instance that another transaction moves is passed over: that one may end the timer.
var nextDue = pg.SQL(`
SELECT t.tenant_id, t.process, t.correlation, t.name, t.due_at, t.failures
FROM process_timer t JOIN process_instance i USING (tenant_id, process, correlation)
WHERE t.process = $1 AND t.due_at <= clock_timestamp()
ORDER BY t.due_at LIMIT 1 FOR UPDATE OF i, t SKIP LOCKED`)

// NextDue locks the instance whose timer is due the longest; nil when none is.
func NextDue(ctx context.Context, tx store.Tx, process string) (*Due, error) {
	d, err := pg.One[Due](ctx, tx, "looking for a timer that is due", nextDue, process)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &d, nil
}

var (
	tryTimerLater = pg.SQL(`
UPDATE process_timer SET due_at = clock_timestamp() + $5 * interval '1 microsecond', failures = failures + 1
WHERE tenant_id = $1 AND process = $2 AND correlation = $3 AND name = $4`)
	noteTrouble = pg.SQL(`
UPDATE process_instance SET trouble = $4, changed_at = clock_timestamp() WHERE tenant_id = $1 AND process = $2 AND correlation = $3`)
	timerNow = pg.SQL(`
UPDATE process_timer SET due_at = clock_timestamp(), failures = 0
WHERE tenant_id = $1 AND process = $2 AND correlation = $3 AND failures > 0`)
)

// TryLater puts a timer that has failed off, and notes why.
func TryLater(ctx context.Context, tx store.Tx, d Due, in time.Duration, why string) error {
	if err := pg.Write(ctx, tx, "putting off a timer", tryTimerLater, d.Tenant, d.Process, d.Correlation, d.Name, in.Microseconds()); err != nil {
		return err
	}
	return pg.Write(ctx, tx, "noting a process's trouble", noteTrouble, d.Tenant, d.Process, d.Correlation, why)
}

// Retry makes the timers due that have failed, and returns how many.
func Retry(ctx context.Context, tx store.Tx, k Key) (int64, error) {
	return pg.Exec(ctx, tx, timerNow, k.Tenant, k.Process, k.Correlation)
}

// Try runs work in a part of the transaction that is undone when it fails.
func Try(ctx context.Context, tx store.Tx, work func() error) error {
	if err := pg.ExecText(ctx, tx, "SAVEPOINT process_step"); err != nil {
		return err
	}
	if err := work(); err != nil {
		if lost := pg.ExecText(ctx, tx, "ROLLBACK TO SAVEPOINT process_step"); lost != nil {
			return errors.Join(err, lost)
		}
		return err
	}
	return pg.ExecText(ctx, tx, "RELEASE SAVEPOINT process_step")
}
