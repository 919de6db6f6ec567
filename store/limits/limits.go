// Package limits bounds how many calls at once the whole fleet makes to one dependency.
//
// # Invariants
//
//   - Calls are permitted one after the other, under the lock of the dependency's row: no more rows of calls that have
//     not expired exist than the limit allows.
//   - A dependency without a limit has no row, and costs nothing here.
//   - A limit that is lowered ends no call: new ones wait until enough have ended.
//
// # What a crash leaves, step by step
//
//	before the permit commits    nothing
//	with a call under way        a row that expires after CallTime; until then one call fewer is made
//	after the call, before the   the same
//	permit is returned
package limits

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
)

// CallTime is how long a permit lasts: longer than a call. A call that takes longer is not counted any more.
const CallTime = 30 * time.Second

// Limit is a dependency's limit.
type Limit struct {
	Name      string    `db:"name" json:"dependency"`
	Calls     int       `db:"calls" json:"calls"` // at once
	UnderWay  int       `db:"under_way" json:"underWay"`
	UpdatedAt time.Time `db:"updated_at" json:"updatedAt"`
	UpdatedBy string    `db:"updated_by" json:"updatedBy"`
	Reason    string    `db:"reason" json:"reason"`
}

var listLimits = pg.SQL(`
SELECT name, calls, updated_at, updated_by, reason,
       (SELECT count(*) FROM dependency_call c WHERE c.name = l.name AND expires_at > clock_timestamp()) AS under_way
FROM dependency_limit l ORDER BY name`)

// List reads all limits.
func List(ctx context.Context, db *store.DB) ([]Limit, error) {
	return pg.List[Limit](ctx, db, "reading the limits of dependencies", listLimits)
}

var (
	limitOf  = pg.SQL(`SELECT calls FROM dependency_limit WHERE name = $1 FOR UPDATE`)
	setLimit = pg.SQL(`
INSERT INTO dependency_limit (name, calls, updated_by, reason) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET calls = excluded.calls, updated_by = excluded.updated_by, reason = excluded.reason, updated_at = clock_timestamp()`)
	deleteLimit = pg.SQL(`DELETE FROM dependency_limit WHERE name = $1`)
)

// Set limits the calls at once to a dependency; 0 takes the limit away. It returns the limit before, 0 for none.
func Set(ctx context.Context, db *store.DB, by operatorlog.By, name string, calls int) (before int, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		before = 0
		if err := pg.Get(ctx, tx, &before, limitOf, name); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if before == calls {
			return nil
		}
		var err error
		if calls == 0 {
			_, err = pg.Exec(ctx, tx, deleteLimit, name)
		} else {
			_, err = pg.Exec(ctx, tx, setLimit, name, calls, by.Operator, by.Reason)
		}
		if err != nil {
			return err
		}
		return operatorlog.Note(ctx, tx, by, "limit", name, noted(before), noted(calls))
	})
	if err != nil {
		return 0, fmt.Errorf("limiting the calls to %s: %w", name, err)
	}
	return before, nil
}

func noted(calls int) any {
	if calls == 0 {
		return nil
	}
	return map[string]int{"calls": calls}
}

var (
	forgetCalls = pg.SQL(`DELETE FROM dependency_call WHERE name = $1 AND expires_at <= clock_timestamp()`)
	permitCall  = pg.SQL(`
INSERT INTO dependency_call (name, expires_at) SELECT $1, clock_timestamp() + make_interval(secs => $3)
WHERE (SELECT count(*) FROM dependency_call WHERE name = $1) < $2::int RETURNING id`)
	returnCall = pg.SQL(`DELETE FROM dependency_call WHERE id = $1`)
)

// Permit allows a call. The zero Permit is that of a dependency without a limit.
type Permit struct{ id uuid.UUID }

// ErrReached means that all calls at once that the limit allows are under way.
var ErrReached = errors.New("the limit of calls at once is reached")

// Request asks to call a dependency; ErrReached when its limit is.
func Request(ctx context.Context, db *store.DB, name string) (p Permit, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		p = Permit{}
		var calls int
		err := pg.Get(ctx, tx, &calls, limitOf, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			_, err = pg.Exec(ctx, tx, forgetCalls, name)
		}
		if err == nil {
			err = pg.Get(ctx, tx, &p.id, permitCall, name, calls, CallTime.Seconds())
		}
		if errors.Is(err, store.ErrNotFound) {
			return ErrReached
		}
		return err
	})
	if err != nil {
		return Permit{}, fmt.Errorf("requesting a call of %s: %w", name, err)
	}
	return p, nil
}

// Return gives a permit back.
func Return(ctx context.Context, db *store.DB, p Permit) error {
	if p.id == uuid.Nil {
		return nil
	}
	if _, err := pg.Repeat(ctx, db, returnCall, p.id); err != nil {
		return fmt.Errorf("returning the permit of a call: %w", err)
	}
	return nil
}

var knownDependencies = pg.SQL(`
SELECT name FROM dependency UNION SELECT name FROM dependency_limit UNION SELECT dependency FROM failure WHERE dependency <> '' ORDER BY 1`)

// Known are the dependencies that have failed or have a limit.
func Known(ctx context.Context, db *store.DB) ([]string, error) {
	return pg.List[string](ctx, db, "reading the dependencies", knownDependencies)
}
