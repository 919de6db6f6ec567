package projection

import (
	"context"
	"errors"
	"fmt"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
)

// attempts are how often the locks are tried for, a few seconds in all.
const attempts = 20

// Shorter than deadlock_timeout, so that this transaction gives way and no reader of the live tables.
const lockTimeout = "SET LOCAL lock_timeout = '500ms';"

// Switch makes the rebuilt tables the live ones, in one transaction, and keeps the old ones in place of any kept
// before. Its pool is as Rebuild's.
func Switch(ctx context.Context, db *store.DB, p Projection, holder string, by operatorlog.By) error {
	if p.Worker == "" {
		return fmt.Errorf("%s: %w", p.Name, ErrNoReadable)
	}
	return p.lead(ctx, db, holder, func(ctx context.Context, lease store.Lease) error {
		s, err := Read(ctx, db, p)
		if err != nil {
			return err
		}
		if s.Rebuild == nil {
			return fmt.Errorf("%s: %w", p.Name, ErrNoRebuild)
		}
		if *s.Rebuild != p.Version {
			return fmt.Errorf("the rebuild of %s is of version %d, this program's is %d; cancel it and rebuild", p.Name, *s.Rebuild, p.Version)
		}
		return p.attempt(ctx, func() error {
			at, err := p.catchUp(ctx, db, lease, nil)
			if err != nil {
				return err
			}
			tick, err := p.handled(ctx, db)
			if err != nil {
				return err
			}
			return db.InTx(ctx, func(tx store.Tx) error { return p.switchTo(ctx, db, tx, lease, at, tick, s, by) })
		})
	})
}

// attempt repeats do while others hold the locks.
func (p Projection) attempt(ctx context.Context, do func() error) error {
	for i := 0; ; i++ {
		err := do()
		if !errors.Is(err, store.ErrRetryable) {
			return err
		}
		if i == attempts || !clock.Sleep(ctx, store.LeaseTTL/20) {
			return fmt.Errorf("%s: %w: %w", p.Name, ErrBusy, err)
		}
	}
}

func (p Projection) switchTo(ctx context.Context, db *store.DB, tx store.Tx, lease store.Lease, at eventlog.Cursor, handled int64, s State, by operatorlog.By) (err error) {
	if err := p.lockLive(ctx, tx, lease, rebuilt); err != nil {
		return err
	}
	for {
		read, err := eventlog.ReadPage(ctx, db, at, page)
		if err != nil {
			return err
		}
		if read.Next == at {
			break
		}
		if err := p.foldPage(ctx, tx, read, at); err != nil {
			return err
		}
		if at = read.Next; read.Last && at.Tick == at.Upto {
			break
		}
	}
	if _, err := pg.Exec(ctx, tx, forgetCursor, p.cursor()); err != nil {
		return err
	}
	if p.Once {
		if handled, err = p.settle(ctx, db, tx, rebuilt, at.Tick); err != nil {
			return err
		}
	}
	return p.swap(ctx, tx, rebuilt, "projections switch", s.Live, p.Version, handled, by)
}

// lockLive ends when no transaction uses the live tables or those beside them.
func (p Projection) lockLive(ctx context.Context, tx store.Tx, lease store.Lease, side string) error {
	if err := store.HoldLease(ctx, tx, lease); err != nil {
		return err
	}
	names, err := p.schemas(ctx, tx, side)
	if err != nil {
		return err
	}
	return pg.ExecText(ctx, tx, lockTimeout+"LOCK TABLE "+p.names(names.live)+" IN ACCESS EXCLUSIVE MODE;LOCK TABLE "+p.names(names.side)+" IN ACCESS EXCLUSIVE MODE")
}

var noteSwitch = pg.SQL(`
UPDATE projection SET version = $2, kept_version = $3, kept_tick = $4, switched_at = now(),
    rebuild_version = NULL, rebuild_began_at = NULL, rebuild_moved_at = NULL, rebuild_events = 0
WHERE name = $1`)

// swap moves the live tables to the kept ones' schema, and those of side in their place.
func (p Projection) swap(ctx context.Context, tx store.Tx, side, action string, was, is int, handled int64, by operatorlog.By) error {
	from, err := p.schemas(ctx, tx, side)
	if err != nil {
		return err
	}
	to, err := p.schemas(ctx, tx, kept)
	if err != nil {
		return err
	}
	aside, err := p.schemas(ctx, tx, "aside")
	if err != nil {
		return err
	}
	if err := p.nextIdentities(ctx, tx, from); err != nil {
		return err
	}
	text := "CREATE SCHEMA " + aside.side + ";"
	for _, t := range p.Tables {
		text += fmt.Sprintf("ALTER TABLE %s.%s SET SCHEMA %s;", from.live, t.Name, aside.side)
		text += fmt.Sprintf("ALTER TABLE %s.%s SET SCHEMA %s;", from.side, t.Name, from.live)
	}
	if p.Once {
		text += fmt.Sprintf("ALTER TABLE %s.%s SET SCHEMA %s;", from.side, deliveries, aside.side)
	}
	text += "DROP SCHEMA IF EXISTS " + to.side + " CASCADE; DROP SCHEMA IF EXISTS " + from.side + "; ALTER SCHEMA " + aside.side + " RENAME TO " + to.side
	if err := pg.ExecText(ctx, tx, text); err != nil {
		return fmt.Errorf("switching the tables of %s: %w", p.Name, err)
	}
	if err := pg.Write(ctx, tx, "noting the switch of "+p.Name, noteSwitch, p.Name, is, was, handled); err != nil {
		return err
	}
	return operatorlog.Note(ctx, tx, by, action, p.Name, map[string]int{"version": was}, map[string]int{"version": is})
}

// Back makes the kept tables live again, and keeps those that were live. First it folds into them what came since they
// were live, by the code that runs now.
func Back(ctx context.Context, db *store.DB, p Projection, holder string, by operatorlog.By) error {
	return p.lead(ctx, db, holder, func(ctx context.Context, lease store.Lease) error {
		s, err := Read(ctx, db, p)
		switch {
		case err != nil:
			return err
		case s.Kept == nil:
			return fmt.Errorf("%s: %w", p.Name, ErrNothing)
		case s.Rebuild != nil:
			return fmt.Errorf("%s: %w", p.Name, ErrUnderway)
		}
		return p.attempt(ctx, func() error {
			tick, err := p.handled(ctx, db)
			if err != nil {
				return err
			}
			return db.InTx(ctx, func(tx store.Tx) error {
				at, err := p.foldRange(ctx, db, tx, kept, *s.KeptTick, 0, nil)
				if err != nil {
					return err
				}
				if err := p.lockLive(ctx, tx, lease, kept); err != nil {
					return err
				}
				if at, err = p.foldRange(ctx, db, tx, kept, at, 0, nil); err != nil {
					return err
				}
				if p.Once {
					if tick, err = p.settle(ctx, db, tx, kept, at); err != nil {
						return err
					}
				}
				return p.swap(ctx, tx, kept, "projections back", s.Live, *s.Kept, tick, by)
			})
		})
	})
}

var endRebuild = pg.SQL(`
UPDATE projection SET rebuild_version = NULL, rebuild_began_at = NULL, rebuild_moved_at = NULL, rebuild_events = 0 WHERE name = $1 AND rebuild_version IS NOT NULL`)

var endKept = pg.SQL(`UPDATE projection SET kept_version = NULL, kept_tick = NULL WHERE name = $1 AND kept_version IS NOT NULL`)

// Cancel ends a rebuild and deletes its tables.
func Cancel(ctx context.Context, db *store.DB, p Projection, holder string, by operatorlog.By) error {
	return p.drop(ctx, db, holder, rebuilt, endRebuild, ErrNoRebuild, "projections cancel", by)
}

// DropOld deletes the kept tables.
func DropOld(ctx context.Context, db *store.DB, p Projection, holder string, by operatorlog.By) error {
	return p.drop(ctx, db, holder, kept, endKept, ErrNothing, "projections drop-old", by)
}

func (p Projection) drop(ctx context.Context, db *store.DB, holder, side string, note pg.Statement, none error, action string, by operatorlog.By) error {
	return p.lead(ctx, db, holder, func(ctx context.Context, lease store.Lease) error {
		return db.InTx(ctx, func(tx store.Tx) error {
			if err := store.HoldLease(ctx, tx, lease); err != nil {
				return err
			}
			n, err := pg.Exec(ctx, tx, note, p.Name)
			if err == nil && n == 0 {
				err = none
			}
			if err == nil && side == rebuilt {
				_, err = pg.Exec(ctx, tx, forgetCursor, p.cursor())
			}
			if err == nil {
				err = p.dropTables(ctx, tx, side)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			return operatorlog.Note(ctx, tx, by, action, p.Name, nil, nil)
		})
	})
}
