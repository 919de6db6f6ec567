package pipeline

import (
	"context"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// ReadLog gives the pages of the log from a cursor on, until ctx ends. When it has read all it waits for more.
func ReadLog(
	ctx context.Context, at eventlog.Cursor, read func(ctx context.Context, at eventlog.Cursor) (eventlog.Page, error),
	give func(eventlog.Page) error, wait func(ctx context.Context),
) error {
	for ctx.Err() == nil {
		next, err := read(ctx, at)
		if err != nil {
			return err
		}
		if next.Next != at {
			if err := give(next); err != nil {
				return err
			}
			at = next.Next
		}
		if next.Last {
			wait(ctx)
		}
	}
	return nil
}

// Place is how far a reader of the log has come: up to where all is confirmed, and the cursor, which follows.
type Place struct {
	db                *store.DB
	cursor, confirmed eventlog.Cursor
}

// NewPlace is the place of a reader that has opened its cursor.
func NewPlace(db *store.DB, cursor eventlog.Cursor) *Place { return &Place{db, cursor, cursor} }

// Pass notes that a page is confirmed, and saves that. Pages without events are saved together, by Save.
func (p *Place) Pass(ctx context.Context, page eventlog.Page) (moved bool, err error) {
	if p.confirmed = page.Next; len(page.Events) == 0 {
		return false, nil
	}
	return p.Save(ctx)
}

// Save moves the cursor to where all is confirmed, unless it is there.
func (p *Place) Save(ctx context.Context) (moved bool, err error) {
	if p.cursor == p.confirmed {
		return false, nil
	}
	if err := eventlog.MoveCursor(ctx, p.db, p.cursor, p.confirmed); err != nil {
		return false, err
	}
	p.cursor = p.confirmed
	return true, nil
}
