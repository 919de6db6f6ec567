package projection

import (
	"context"
	"errors"
	"fmt"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
)

// page is how many events a transaction folds; tests fold fewer.
var page = 5000

// Progress tells how many events were read and how many log positions are left.
type Progress func(events, left int64)

// Rebuild begins a rebuild, or goes on with the one in progress, and ends at the newest tick. It may be interrupted at
// any time and called again. Give it a pool of at least three connections that nothing else uses. by is written to the
// operator log when it begins.
func Rebuild(ctx context.Context, db *store.DB, p Projection, holder string, by operatorlog.By, progress Progress) error {
	return p.lead(ctx, db, holder, func(ctx context.Context, lease store.Lease) error {
		if err := p.begin(ctx, db, lease, by); err != nil {
			return err
		}
		_, err := p.catchUp(ctx, db, lease, progress)
		return err
	})
}

// lead does work once while it holds the projection's lease. The lease of a process that was killed ends by itself.
func (p Projection) lead(ctx context.Context, db *store.DB, holder string, work func(context.Context, store.Lease) error) error {
	waiting, cancel := context.WithTimeout(ctx, 2*store.LeaseTTL)
	defer cancel()
	for {
		lease, err := store.AcquireLease(ctx, db, p.cursor(), holder)
		if err == nil {
			if err := store.ReleaseLease(ctx, db, lease); err != nil {
				return err
			}
			break
		}
		if !errors.Is(err, store.ErrNotLeader) {
			return err
		}
		if !clock.Sleep(waiting, store.LeaseTTL/10) {
			return fmt.Errorf("%s: %w", p.Name, errors.Join(ErrRunning, ctx.Err()))
		}
	}
	leading, done := context.WithCancel(ctx)
	defer done()
	var result error
	worked := false
	store.Lead(leading, db, p.cursor(), holder, func(ctx context.Context, l store.Lease) error {
		if result = work(ctx, l); result != nil && ctx.Err() != nil && leading.Err() == nil {
			return result // the lease was lost: lead again
		}
		worked = true
		done()
		return nil
	}, func(error) {})
	if !worked {
		return errors.Join(result, ctx.Err())
	}
	return result
}

var beginRebuild = pg.SQL(`
INSERT INTO projection AS p (name, version, rebuild_version, rebuild_began_at, rebuild_moved_at) VALUES ($1, $2, $2, now(), now())
ON CONFLICT (name) DO UPDATE SET rebuild_version = excluded.rebuild_version, rebuild_began_at = now(), rebuild_moved_at = now(), rebuild_events = 0`)

var forgetCursor = pg.SQL(`DELETE FROM log_cursor WHERE consumer = $1`)

// begin makes the tables unless a rebuild of this version is in progress.
func (p Projection) begin(ctx context.Context, db *store.DB, lease store.Lease, by operatorlog.By) error {
	return db.InTx(ctx, func(tx store.Tx) error {
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		s, err := pg.One[State](ctx, tx, "reading the projection "+p.Name, readState, p.Name)
		switch {
		case errors.Is(err, store.ErrNotFound): // the first rebuild of it
		case err != nil:
			return err
		case s.Rebuild != nil && *s.Rebuild == p.Version:
			return nil
		case s.Rebuild != nil:
			return fmt.Errorf("%s, version %d: %w", p.Name, *s.Rebuild, ErrUnderway)
		}
		names, err := p.schemas(ctx, tx, rebuilt)
		if err != nil {
			return err
		}
		if err := p.makeTables(ctx, tx, names); err != nil {
			return err
		}
		if err := p.makeDeliveries(ctx, tx, names); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, tx, forgetCursor, p.cursor()); err != nil {
			return err
		}
		if err := pg.Write(ctx, tx, "beginning a rebuild of "+p.Name, beginRebuild, p.Name, p.Version); err != nil {
			return err
		}
		return operatorlog.Note(ctx, tx, by, "projections rebuild", p.Name, nil, map[string]int{"version": p.Version})
	})
}

// catchUp folds up to the newest tick and returns the cursor there.
func (p Projection) catchUp(ctx context.Context, db *store.DB, lease store.Lease, progress Progress) (eventlog.Cursor, error) {
	at, err := eventlog.OpenCursor(ctx, db, lease)
	if err != nil {
		return at, err
	}
	if err := p.open(ctx, db, lease, at, progress); err != nil {
		return at, err
	}
	for events := int64(0); ; {
		read, err := eventlog.ReadPage(ctx, db, at, page)
		if err != nil || read.Next == at {
			return at, err
		}
		err = db.InTx(ctx, func(tx store.Tx) error {
			if err := store.HoldLease(ctx, tx, lease); err != nil {
				return err
			}
			return p.foldPage(ctx, tx, read, at)
		})
		if err != nil {
			return at, err
		}
		at, events = read.Next, events+int64(len(read.Events))
		if progress != nil {
			left, err := eventlog.Lag(ctx, db, p.cursor())
			if err != nil {
				return at, err
			}
			progress(events, left)
		}
		if read.Last && at.Tick == at.Upto {
			return at, nil
		}
	}
}

var movePlace = pg.SQL(`
WITH moved AS (
    UPDATE log_cursor SET tick = $6, upto = $7, seq = $8, moved_at = now()
    WHERE consumer = $1 AND term = $2 AND tick = $3 AND upto = $4 AND seq = $5 RETURNING consumer
)
UPDATE projection SET rebuild_moved_at = now(), rebuild_events = rebuild_events + $9
WHERE name = $10 AND rebuild_version IS NOT NULL AND EXISTS (SELECT FROM moved)`)

// foldPage folds a page into the rebuilt tables and moves the cursor, in one transaction.
func (p Projection) foldPage(ctx context.Context, tx store.Tx, read eventlog.Page, from eventlog.Cursor) error {
	to := read.Next
	n, err := pg.Exec(ctx, tx, movePlace, from.Consumer, from.Term, from.Tick, from.Upto, from.Seq, to.Tick, to.Upto, to.Seq, len(read.Events), p.Name)
	if err == nil && n == 0 {
		err = store.ErrNotLeader
	}
	if err != nil {
		return fmt.Errorf("moving the cursor of %s: %w", from.Consumer, err)
	}
	names, err := p.schemas(ctx, tx, rebuilt)
	if err != nil {
		return err
	}
	return p.fold(ctx, tx, names, read.Events)
}

// fold writes events to the tables beside the live ones.
func (p Projection) fold(ctx context.Context, tx store.Tx, names schemas, entries []eventlog.Entry) error {
	if p.Once {
		var err error
		if entries, err = p.once(ctx, tx, names, entries); err != nil {
			return err
		}
	}
	events, err := p.folded(entries)
	if err != nil || len(events) == 0 {
		return err
	}
	return p.foldEvents(ctx, tx, names, events)
}

func (p Projection) foldEvents(ctx context.Context, tx store.Tx, names schemas, events []event.Any) error {
	if err := p.identities(ctx, tx, names); err != nil {
		return err
	}
	if err := names.on(ctx, tx); err != nil {
		return err
	}
	if err := p.Fold(ctx, tx, events); err != nil {
		return fmt.Errorf("folding %d events into %s: %w", len(events), p.Name, err)
	}
	return names.off(ctx, tx)
}
