package projection

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// # The archived part of the log
//
// A rebuild that is at the beginning of the log first folds what left the database: the archives, or the opening
// balances where these are enough. The cursor stands still meanwhile, so that one which is interrupted begins with them
// again; that changes nothing, for a Fold may be repeated. The cursor is there before the cut is read: no archive can
// pass it from then on.

var seenAt = pg.SQL(`SELECT coalesce((SELECT seq_before FROM tick WHERE id = $1), 0)`)

// open folds what is archived into the rebuilt tables, unless the cursor is past it.
func (p Projection) open(ctx context.Context, db *store.DB, lease store.Lease, at eventlog.Cursor, progress Progress) error {
	cut, err := archive.Cut(ctx, db)
	if err != nil || cut == 0 {
		return err
	}
	seen, err := pg.One[int64](ctx, db, "reading how far "+p.Name+" is rebuilt", seenAt, at.Tick)
	if err != nil || seen >= cut-1 {
		return err
	}
	switch {
	case p.Archives != nil && p.Archives.Cut < cut:
		return fmt.Errorf("rebuilding %s: the log was archived up to position %d meanwhile: begin again", p.Name, cut)
	case p.Archives != nil:
		return p.foldArchives(ctx, db, lease, cut, progress)
	case p.Opens:
		return p.foldOpenings(ctx, db, lease)
	}
	return archive.Need(ctx, db, "rebuilding "+p.Name+" from the beginning", 0)
}

func (p Projection) foldArchives(ctx context.Context, db *store.DB, lease store.Lease, cut int64, progress Progress) error {
	if p.Once {
		if done, err := p.emptied(ctx, db, lease); done || err != nil {
			return err
		}
	}
	events := int64(0)
	err := p.Archives.Frames(-1, cut-1, false, func(rows []archive.Row) error {
		events += int64(len(rows))
		left := cut - rows[len(rows)-1].Seq
		rows = slices.DeleteFunc(rows, func(r archive.Row) bool { return !slices.Contains(p.Types, event.Type(r.Type)) })
		err := p.foldLeading(ctx, db, lease, len(rows), func(tx store.Tx, names schemas) (_ []event.Any, err error) {
			rows := rows
			if p.Once {
				if rows, err = p.onceArchived(ctx, tx, names, rows); err != nil {
					return nil, err
				}
			}
			entries := make([]eventlog.Entry, len(rows))
			for i := range rows {
				r := &rows[i]
				entries[i] = eventlog.Entry{Seq: r.Seq, EventID: r.EventID, Type: event.Type(r.Type), OccurredAt: r.OccurredAt, Body: []byte(r.Body)}
			}
			return p.folded(entries)
		})
		if err == nil && progress != nil {
			progress(events, left)
		}
		return err
	})
	if err == nil && p.Once {
		err = p.noteArchives(ctx, db, lease)
	}
	return err
}

// foldOpenings folds the opening balances as the events that they stand for.
func (p Projection) foldOpenings(ctx context.Context, db *store.DB, lease store.Lease) error {
	openings, err := archive.ReadOpenings(ctx, db)
	if err != nil {
		return err
	}
	keys := slices.SortedFunc(maps.Keys(openings), masterdata.ComparePositionKeys)
	for some := range slices.Chunk(keys, page) {
		events := make([]event.Any, len(some))
		for i, key := range some {
			o := openings[key]
			events[i] = event.Any{
				Envelope: event.Envelope{Type: event.TypeInventoryUpdated, TenantID: key.Tenant, Metadata: event.Metadata{Sequence: o.Sequence}},
				Payload:  event.InventoryUpdated{ItemID: key.Item, LocationID: key.Location, OnHand: o.OnHand, Reserved: o.Reserved},
			}
		}
		err := p.foldLeading(ctx, db, lease, len(events), func(store.Tx, schemas) ([]event.Any, error) { return events, nil })
		if err != nil {
			return err
		}
	}
	return nil
}

// foldLeading folds the events that choose gives, of n, into the rebuilt tables in a transaction of its own.
func (p Projection) foldLeading(ctx context.Context, db *store.DB, lease store.Lease, n int, choose func(store.Tx, schemas) ([]event.Any, error)) error {
	if n == 0 {
		return nil
	}
	return db.InTx(ctx, func(tx store.Tx) error {
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		names, err := p.schemas(ctx, tx, rebuilt)
		if err != nil {
			return err
		}
		events, err := choose(tx, names)
		if err != nil || len(events) == 0 {
			return err
		}
		return p.foldEvents(ctx, tx, names, events)
	})
}
